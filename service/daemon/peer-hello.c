/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What two hosts say to one another in Hello. The links that it is said on are peer.c's. */
#include "daemon/peer-private.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/host-offer.h"
#include "daemon/link-service.h"
#include "link-bus.h"
#include "link/agreement.h"
#include "link/control.h"
#include "vmferry-config.h"

#define VMF_HELLO_TIMEOUT 10000 /* ms */
#define VMF_VERSION_MAX 64      /* bytes */

static VmfOffer *
vmf_peer_make_offer(VmfPeer *self)
{
    VmfNative native;

    return vmf_host_offer_new(
        vmf_daemon_get_config(self->daemon),
        vmf_natives_peek(vmf_daemon_get_natives(self->daemon), NULL, &native));
}

void
vmf_peer_fill_hello(VmfPeer *self, GVariantDict *ret)
{
    g_autoptr(VmfOffer) offer = vmf_peer_make_offer(self);
    g_autoptr(GVariant) features = vmf_offer_encode(offer);

    g_variant_dict_init(ret, NULL);
    g_variant_dict_insert(ret, "version", "s", VMF_VERSION);
    g_variant_dict_insert_value(ret, "features", features);
}

/* What the two hosts could agree on if a guest went there now. */
static gboolean
vmf_peer_note_features(VmfPeer *self, GVariant *features, GError **error)
{
    const VmfAgreementTerms terms = {"", "this host", self->config->name, 0};
    g_autoptr(VmfOffer) ours = vmf_peer_make_offer(self);
    g_autoptr(VmfOffer) theirs = vmf_offer_decode(features, error);
    g_autoptr(VmfAgreement) agreement = NULL;
    g_autoptr(GVariant) described = NULL;

    if (theirs)
        agreement = vmf_agreement_new(vmf_features(), &terms, ours, theirs, error);
    if (!agreement)
        return FALSE;
    described = vmf_agreement_describe(agreement);
    vmf_bus_peer_set_features(self->bus, described);
    return TRUE;
}

gboolean
vmf_peer_note_hello(VmfPeer *self, GDBusConnection *link, GVariant *hello, GError **error)
{
    g_autoptr(GVariant) features = g_variant_lookup_value(hello, "features", NULL);
    g_autofree char *clean = NULL;
    const char *version = "";

    g_variant_lookup(hello, "version", "&s", &version);
    if (strlen(version) > VMF_VERSION_MAX) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "version is too long");
        return FALSE;
    }
    clean = vmf_text_clean(version);
    vmf_bus_peer_set_version(self->bus, clean);
    vmf_bus_peer_set_certificate_end(self->bus, (guint64)vmf_control_get_certificate_end(link));
    return !features || vmf_peer_note_features(self, features, error);
}

gboolean
vmf_peer_hello(VmfPeer *self, GDBusConnection *link, GCancellable *cancellable, GError **error)
{
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GVariant) body = NULL;
    g_autoptr(GError) problem = NULL;
    GVariantDict offer;

    vmf_peer_fill_hello(self, &offer);
    answer = g_dbus_connection_call_sync(link, NULL, VMF_LINK_OBJECT, "org.vmferry1.Link", "Hello",
                                         g_variant_new("(@a{sv})", g_variant_dict_end(&offer)),
                                         G_VARIANT_TYPE("(a{sv})"), G_DBUS_CALL_FLAGS_NONE,
                                         VMF_HELLO_TIMEOUT, cancellable, &problem);
    if (!answer) {
        g_propagate_prefixed_error(error, vmf_error_normalize(g_steal_pointer(&problem)),
                                   "%s: ", self->config->name);
        return FALSE;
    }
    body = g_variant_get_child_value(answer, 0);
    return vmf_peer_note_hello(self, link, body, error);
}

static void
vmf_peer_hello_thread(GTask *task, gpointer source, gpointer link, GCancellable *cancellable)
{
    GError *error = NULL;

    if (vmf_peer_hello(source, link, NULL, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

static void
vmf_peer_greeted(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GError) error = NULL;

    if (!g_task_propagate_boolean(G_TASK(result), &error))
        vmf_debug(NULL, "another Hello: %s", error->message);
}

void
vmf_peer_greet_again(VmfPeer *self)
{
    g_autoptr(GSocketAddress) remote = NULL;
    GDBusConnection *link = vmf_peer_peek_link(self, &remote);
    g_autoptr(GTask) task = NULL;

    if (!link)
        return;
    task = g_task_new(self, NULL, vmf_peer_greeted, NULL);
    g_task_set_task_data(task, link, g_object_unref);
    vmf_workers_run(vmf_daemon_get_workers(self->daemon), task, vmf_peer_hello_thread);
}
