/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "impostor.h"

#include <string.h>

#include "link/control.h"

#define LINK_OBJECT "/org/vmferry1/link"

GDBusConnection *
vmf_impostor_dial(VmfHost *host, VmfHost *to)
{
    g_autofree char *pki = vmf_host_path(host, "pki");
    g_autofree char *address = g_strdup_printf("127.0.0.1:%u", to->port);
    g_autoptr(VmfIdentity) identity = vmf_identity_load(pki, NULL);
    g_autoptr(GSocketAddress) remote = NULL;
    g_autoptr(GError) error = NULL;
    GDBusConnection *link = vmf_control_dial(identity, "hostb", address, 1, NULL, &remote, &error);

    if (!link)
        fail_msg("dialling hostb: %s", error->message);
    g_dbus_connection_start_message_processing(link);
    return link;
}

GVariant *
vmf_impostor_call(GDBusConnection *link, const char *method, const char *arguments, GError **error)
{
    return g_dbus_connection_call_sync(link, NULL, LINK_OBJECT, "org.vmferry1.Link", method,
                                       g_variant_new_parsed(arguments), NULL,
                                       G_DBUS_CALL_FLAGS_NONE, VMF_PATIENCE * 1000, NULL, error);
}

void
vmf_impostor_assert_answered(GDBusConnection *link, const char *method, const char *arguments)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer = vmf_impostor_call(link, method, arguments, &error);

    if (!answer)
        fail_msg("%s %s: %s", method, arguments, error->message);
}

void
vmf_impostor_assert_refused(GDBusConnection *link, const char *method, const char *arguments,
                            const char *name)
{
    GError *error = NULL;
    g_autoptr(GVariant) answer = vmf_impostor_call(link, method, arguments, &error);

    if (answer)
        fail_msg("%s %s was answered", method, arguments);
    vmf_assert_error(error, name, NULL);
}

GDBusConnection *
vmf_impostor_greet(VmfHost *host, VmfHost *to)
{
    GDBusConnection *link = vmf_impostor_dial(host, to);

    vmf_impostor_assert_answered(link, "Hello", "({'name': <'hosta'>, 'version': <'0.0.test'>},)");
    return link;
}

/* ---- two of them, and the daemon that they meet ---- */

static void
close_link(gpointer link)
{
    g_dbus_connection_close_sync(link, NULL, NULL);
    g_object_unref(link);
}

VmfImpostors *
vmf_impostors_new(const char *more)
{
    VmfImpostors *impostors = g_new0(VmfImpostors, 1);

    impostors->lab = vmf_lab_new();
    impostors->a = vmf_lab_add_host(impostors->lab, "hosta");
    impostors->b = vmf_lab_add_host(impostors->lab, "hostb");
    impostors->c = vmf_lab_add_host(impostors->lab, "hostc");
    impostors->links = g_ptr_array_new_with_free_func(close_link);
    vmf_host_set_guests(impostors->b, "<node/>");
    vmf_host_add_peer(impostors->b, "hosta", 1, more);
    vmf_host_add_peer(impostors->b, "hostc", 1, NULL);
    vmf_host_start(impostors->b);
    return impostors;
}

static GDBusConnection *
keep(VmfImpostors *impostors, GDBusConnection *link)
{
    g_ptr_array_add(impostors->links, link);
    return link;
}

GDBusConnection *
vmf_impostors_dial(VmfImpostors *impostors, VmfHost *host)
{
    return keep(impostors, vmf_impostor_dial(host, impostors->b));
}

GDBusConnection *
vmf_impostors_greet(VmfImpostors *impostors, VmfHost *host)
{
    return keep(impostors, vmf_impostor_greet(host, impostors->b));
}

int
vmf_impostors_tear_down(void **state)
{
    VmfImpostors *impostors = *state;

    g_ptr_array_unref(impostors->links);
    vmf_host_assert_clean(impostors->b);
    vmf_host_stop(impostors->b);
    vmf_lab_free(impostors->lab);
    g_free(impostors);
    return 0;
}

/* ---- what is said ---- */

static void
read_bytes(GVariant *answer, const char *key, void *to, gsize expected)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(answer, key, G_VARIANT_TYPE_BYTESTRING);
    gsize size;
    gconstpointer data;

    assert_non_null(value);
    data = g_variant_get_fixed_array(value, &size, 1);
    assert_int_equal(size, expected);
    memcpy(to, data, size);
}

GVariant *
vmf_impostor_agree(GDBusConnection *link, const char *id, const char *host, const VmfOffer *offer,
                   GError **error)
{
    g_autoptr(GVariant) features = vmf_offer_encode(offer);
    g_autoptr(GVariant) answer = NULL;
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "host", "s", host);
    g_variant_dict_insert_value(&dict, "features", features);
    answer = g_dbus_connection_call_sync(link, NULL, LINK_OBJECT, "org.vmferry1.Link", "Agree",
                                         g_variant_new("(s@a{sv})", id, g_variant_dict_end(&dict)),
                                         G_VARIANT_TYPE("(a{sv})"), G_DBUS_CALL_FLAGS_NONE,
                                         VMF_PATIENCE * 1000, NULL, error);
    return answer ? g_variant_get_child_value(answer, 0) : NULL;
}

char *
vmf_impostor_digest(GVariant *answer)
{
    g_autoptr(GVariant) digest =
        g_variant_lookup_value(answer, "digest", G_VARIANT_TYPE_BYTESTRING);
    g_autofree char *text = NULL;

    assert_non_null(digest);
    text = g_variant_print(digest, TRUE);
    return g_strdup_printf("'agreement': <%s>", text);
}

char *
vmf_impostor_agreed(GDBusConnection *link, const char *id, const char *host)
{
    g_autoptr(VmfOffer) offer = vmf_offer_new(vmf_features());
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer = vmf_impostor_agree(link, id, host, offer, &error);
    g_autofree char *digest = NULL;

    if (!answer)
        fail_msg("Agree: %s", error->message);
    digest = vmf_impostor_digest(answer);
    return g_strdup_printf("('%s', {" VMF_IMPOSTOR_GUEST ", %s})", id, digest);
}

void
vmf_impostor_prepare(GDBusConnection *link, VmfPrepared *ret)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *arguments = vmf_impostor_agreed(link, VMF_IMPOSTOR_ID, "hostb");
    g_autoptr(GVariant) answer = vmf_impostor_call(link, "Prepare", arguments, &error);
    g_autoptr(GVariant) body = NULL;

    if (!answer)
        fail_msg("Prepare: %s", error->message);
    body = g_variant_get_child_value(answer, 0);
    assert_true(g_variant_lookup(body, "path", "s", &ret->path));
    read_bytes(body, "ticket", ret->ticket, sizeof ret->ticket);
    read_bytes(body, "secret", ret->secret, sizeof ret->secret);
}

GSocket *
vmf_impostor_dial_data(VmfHost *to, const uint8_t *ticket, GError **error)
{
    g_autoptr(GSocketAddress) address =
        g_inet_socket_address_new_from_string("127.0.0.1", to->port);

    return vmf_data_dial(address, ticket, NULL, error);
}
