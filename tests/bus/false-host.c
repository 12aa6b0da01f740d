/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "false-host.h"

#include "link/control.h"
#include "link/preface.h"

VmfFalseHost *
vmf_false_host_new(VmfHost *as, VmfHost *hosta, const char *more)
{
    VmfFalseHost *host = g_new0(VmfFalseHost, 1);
    guint16 port;

    host->as = as;
    host->listener = vmf_listen(&port);
    vmf_host_add_peer(hosta, "hostb", port, more);
    return host;
}

void
vmf_false_host_free(VmfFalseHost *host)
{
    if (host->link)
        g_dbus_connection_close_sync(host->link, NULL, NULL);
    g_clear_object(&host->link);
    g_clear_object(&host->skeleton);
    g_clear_pointer(&host->said, g_variant_unref);
    g_clear_pointer(&host->offer, vmf_offer_free);
    g_object_unref(host->listener);
    g_free(host);
}

GVariant *
vmf_false_host_answer(VmfFalseHost *host, const char *id, GVariant *said, const char *source,
                      const VmfOffer *offer)
{
    const VmfAgreementTerms terms = {id, source, "hostb", g_get_real_time()};
    g_autoptr(GVariant) features = g_variant_lookup_value(said, "features", NULL);
    g_autoptr(VmfOffer) theirs = vmf_offer_decode(features, NULL);
    g_autoptr(VmfAgreement) agreement =
        vmf_agreement_new(vmf_features(), &terms, theirs, offer, NULL);
    g_autoptr(GVariant) encoded = vmf_offer_encode(offer);
    const guint8 nothing[VMF_AGREEMENT_DIGEST_SIZE] = {0};
    GVariantDict answer;

    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert(&answer, "source", "s", source);
    g_variant_dict_insert(&answer, "time", "x", terms.time);
    g_variant_dict_insert_value(&answer, "features", encoded);
    g_variant_dict_insert_value(
        &answer, "digest",
        g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE,
                                  agreement ? vmf_agreement_get_digest(agreement) : nothing,
                                  VMF_AGREEMENT_DIGEST_SIZE, 1));
    return g_variant_ref_sink(g_variant_dict_end(&answer));
}

static GVariant *
answer_rightly(VmfFalseHost *host, const char *id, GVariant *said)
{
    g_autoptr(VmfOffer) all = vmf_offer_new(vmf_features());

    return vmf_false_host_answer(host, id, said, "hosta", host->offer ? host->offer : all);
}

static gboolean
on_agree(VmfBusLink *skeleton, GDBusMethodInvocation *call, const char *id, GVariant *said,
         VmfFalseHost *host)
{
    g_autoptr(GVariant) answer = NULL;

    g_clear_pointer(&host->said, g_variant_unref);
    host->said = g_variant_ref(said);
    answer =
        host->answer ? host->answer(host, id, said, host->data) : answer_rightly(host, id, said);
    if (answer)
        vmf_bus_link_complete_agree(skeleton, call, answer);
    else
        host->unanswered = call;
    return TRUE;
}

static gboolean
on_hello(VmfBusLink *skeleton, GDBusMethodInvocation *call, GVariant *said, VmfFalseHost *host)
{
    g_autoptr(GVariant) features = host->offer ? vmf_offer_encode(host->offer) : NULL;
    GVariantDict answer;

    g_variant_dict_init(&answer, NULL);
    if (features)
        g_variant_dict_insert_value(&answer, "features", features);
    vmf_bus_link_complete_hello(skeleton, call, g_variant_dict_end(&answer));
    return TRUE;
}

static gboolean
on_prepare(VmfBusLink *skeleton, GDBusMethodInvocation *call, const char *id, GVariant *guest,
           VmfFalseHost *host)
{
    host->prepared++;
    g_dbus_method_invocation_return_dbus_error(call, "org.vmferry1.Error.DomainExists", "no");
    return TRUE;
}

/* What the source wants to know of us besides; there is nothing in the way. */
static gboolean
on_check(VmfBusLink *skeleton, GDBusMethodInvocation *call, GVariant *request, VmfFalseHost *host)
{
    vmf_bus_link_complete_check(skeleton, call, g_variant_new("a{sv}", NULL));
    return TRUE;
}

void
vmf_false_host_accept(VmfFalseHost *host)
{
    g_autofree char *pki = vmf_host_path(host->as, "pki");
    g_autoptr(VmfIdentity) identity = vmf_identity_load(pki, NULL);
    g_autoptr(GSocket) socket = g_socket_accept(host->listener, NULL, NULL);
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) names = NULL;
    uint8_t preface[VMF_PREFACE_SIZE];
    uint8_t answer[VMF_ANSWER_SIZE];

    assert_int_equal(g_socket_receive(socket, (char *)preface, sizeof preface, NULL, NULL),
                     sizeof preface);
    vmf_answer_encode(VMF_ANSWER_OK, answer);
    assert_int_equal(g_socket_send(socket, (char *)answer, sizeof answer, NULL, NULL),
                     sizeof answer);
    host->link = vmf_control_accept(identity, stream, NULL, &names, &error);
    if (!host->link)
        fail_msg("being hostb: %s", error->message);
    host->skeleton = vmf_bus_link_skeleton_new();
    g_signal_connect(host->skeleton, "handle-hello", G_CALLBACK(on_hello), host);
    g_signal_connect(host->skeleton, "handle-agree", G_CALLBACK(on_agree), host);
    g_signal_connect(host->skeleton, "handle-check", G_CALLBACK(on_check), host);
    g_signal_connect(host->skeleton, "handle-prepare", G_CALLBACK(on_prepare), host);
    g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(host->skeleton), host->link,
                                     "/org/vmferry1/link", NULL);
    g_dbus_connection_start_message_processing(host->link);
}
