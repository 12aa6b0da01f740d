/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One daemon: what it shows on the bus, and what Migrate refuses before anything happens. */
#include "fixture.h"

#include <string.h>
#include <unistd.h>

#include "link/offer.h"
#include "vmferry-config.h"

typedef struct {
    VmfLab *lab;
    VmfHost *host;
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->host = vmf_lab_add_host(fixture->lab, "hosta");
    vmf_host_add_peer(fixture->host, "hostb", 9, "LibvirtUri=test:///default");
    vmf_host_add_peer(fixture->host, "host-c.example.org", 9, "MayReceive=false");
    vmf_host_start(fixture->host);
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    vmf_host_stop(fixture->host);
    vmf_lab_free(fixture->lab);
    g_free(fixture);
    return 0;
}

/* ---- what it shows ---- */

static gboolean
libvirt_is_connected(gpointer manager)
{
    return vmf_bus_manager_get_libvirt_connected(manager);
}

static void
test_manager_properties(void **state)
{
    Fixture *fixture = *state;
    VmfBusManager *manager = fixture->host->manager;
    g_autoptr(VmfOffer) offer = vmf_offer_decode(vmf_bus_manager_get_features(manager), NULL);

    assert_string_equal(vmf_bus_manager_get_version(manager), VMF_VERSION);
    assert_non_null(offer);
    assert_int_equal(vmf_offer_get_size(offer), vmf_features()->n);
    assert_int_equal(vmf_offer_find(offer, "frames")->stand, VMF_STAND_REQUIRED);
    assert_int_equal(vmf_offer_find(offer, "tls")->stand, VMF_STAND_REQUIRED);
    assert_int_equal(vmf_offer_find(offer, "nbd")->stand, VMF_STAND_OFFERED);
    assert_int_equal(vmf_offer_find(offer, "resume")->stand, VMF_STAND_OFFERED);
    vmf_wait_until(libvirt_is_connected, manager, "LibvirtConnected");
}

static void
assert_peer_path(Fixture *fixture, const char *path)
{
    g_autoptr(GDBusObject) object = g_dbus_object_manager_get_object(fixture->host->objects, path);

    assert_non_null(object);
}

static void
test_peer_properties(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfBusPeer) hostb = vmf_host_get_peer(fixture->host, "hostb");
    g_autoptr(VmfBusPeer) hostc = vmf_host_get_peer(fixture->host, "host-c.example.org");
    const char *const *addresses = vmf_bus_peer_get_addresses(hostb);

    assert_int_equal(g_strv_length((GStrv)addresses), 1);
    assert_string_equal(addresses[0], "127.0.0.1:9");
    assert_string_equal(vmf_bus_peer_get_libvirt_uri(hostb), "test:///default");
    assert_false(vmf_bus_peer_get_connected(hostb));
    assert_string_equal(vmf_bus_peer_get_version(hostb), "");
    vmf_assert_error_property(vmf_bus_peer_get_error(hostb), "", NULL);
    assert_string_equal(vmf_bus_peer_get_libvirt_uri(hostc),
                        "qemu+tls://host-c.example.org/system");
    assert_peer_path(fixture, "/org/vmferry1/peer/hostb");
    assert_peer_path(fixture, "/org/vmferry1/peer/host_2dc_2eexample_2eorg");
}

static void
test_no_migration_yet(void **state)
{
    Fixture *fixture = *state;

    assert_null(vmf_host_find_migration(fixture->host));
}

/* ---- the contract in data/org.vmferry1.xml ---- */

static char *
signature_of(GDBusArgInfo **arguments)
{
    GString *signature = g_string_new(NULL);

    for (; arguments && *arguments; arguments++)
        g_string_append_printf(signature, "%s:%s ", (*arguments)->name, (*arguments)->signature);
    return g_string_free(signature, FALSE);
}

static gint
compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every member as one line, sorted: what is compared. */
static char *
describe(GDBusInterfaceInfo *interface)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

    for (GDBusMethodInfo **method = interface->methods; method && *method; method++) {
        g_autofree char *in = signature_of((*method)->in_args);
        g_autofree char *out = signature_of((*method)->out_args);

        g_ptr_array_add(lines, g_strdup_printf("method %s (%s) -> (%s)", (*method)->name, in, out));
    }
    for (GDBusSignalInfo **signal = interface->signals; signal && *signal; signal++) {
        g_autofree char *arguments = signature_of((*signal)->args);

        g_ptr_array_add(lines, g_strdup_printf("signal %s (%s)", (*signal)->name, arguments));
    }
    for (GDBusPropertyInfo **property = interface->properties; property && *property; property++)
        g_ptr_array_add(lines, g_strdup_printf("property %s %s %d", (*property)->name,
                                               (*property)->signature, (int)(*property)->flags));
    g_ptr_array_sort(lines, compare_lines);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("\n", (char **)lines->pdata);
}

static GDBusNodeInfo *
introspect(VmfHost *host, const char *path)
{
    g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
        host->bus, "org.vmferry1", path, "org.freedesktop.DBus.Introspectable", "Introspect", NULL,
        G_VARIANT_TYPE("(s)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
    const char *xml;
    GDBusNodeInfo *node;

    assert_non_null(answer);
    g_variant_get(answer, "(&s)", &xml);
    node = g_dbus_node_info_new_for_xml(xml, NULL);
    assert_non_null(node);
    return node;
}

static void
assert_as_documented(VmfHost *host, GDBusNodeInfo *contract, const char *path, const char *name)
{
    g_autoptr(GDBusNodeInfo) live = introspect(host, path);
    GDBusInterfaceInfo *documented = g_dbus_node_info_lookup_interface(contract, name);
    GDBusInterfaceInfo *served = g_dbus_node_info_lookup_interface(live, name);
    g_autofree char *expected = NULL;
    g_autofree char *got = NULL;

    assert_non_null(documented);
    assert_non_null(served);
    expected = describe(documented);
    got = describe(served);
    assert_string_equal(got, expected);
}

static void
test_introspection_is_the_documented_contract(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autofree char *path =
        g_build_filename(g_getenv("VMFERRY_SOURCE"), "data", "org.vmferry1.xml", NULL);
    g_autofree char *xml = NULL;
    g_autoptr(GDBusNodeInfo) contract = NULL;
    g_autoptr(VmfBusMigration) migration = NULL;

    assert_true(g_file_get_contents(path, &xml, NULL, NULL));
    contract = g_dbus_node_info_new_for_xml(xml, NULL);
    assert_non_null(contract);
    assert_as_documented(host, contract, "/org/vmferry1", "org.vmferry1.Manager");
    assert_as_documented(host, contract, "/org/vmferry1/peer/hostb", "org.vmferry1.Peer");
    migration = vmf_host_migrate(host, "running", "hostb");
    assert_as_documented(host, contract, g_dbus_proxy_get_object_path(G_DBUS_PROXY(migration)),
                         "org.vmferry1.Migration");
    vmf_wait_property(migration, "state", "failed");
}

/* ---- what Migrate and Connect refuse ---- */

static void
assert_migrate_refused(VmfHost *host, const char *guest, const char *peer, const char *options,
                       const char *name, const char *words)
{
    g_autofree char *path = NULL;
    GError *error = NULL;

    vmf_bus_manager_call_migrate_sync(host->manager, guest, peer, g_variant_new_parsed(options),
                                      &path, NULL, &error);
    vmf_assert_error(error, name, words);
}

static void
test_unknown_names(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    GError *error = NULL;

    assert_migrate_refused(host, "nobody", "hostb", "@a{sv} {}", "NoSuchDomain", "'nobody'");
    assert_migrate_refused(host, "99999999-1111-4111-8111-111111111111", "hostb", "@a{sv} {}",
                           "NoSuchDomain", "99999999");
    assert_migrate_refused(host, "", "hostb", "@a{sv} {}", "NoSuchDomain", NULL);
    assert_migrate_refused(host, "running", "hostd", "@a{sv} {}", "NoSuchPeer", "peers.d");
    assert_migrate_refused(host, "running", "HOSTD", "@a{sv} {}", "NoSuchPeer", "'HOSTD'");
    vmf_bus_manager_call_connect_sync(host->manager, "hostd", NULL, &error);
    vmf_assert_error(error, "NoSuchPeer", "'hostd'");
}

static void
test_unknown_options(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    assert_migrate_refused(host, "running", "hostb", "{'speed': <1>}", "InvalidArgument",
                           "'speed'");
    assert_migrate_refused(host, "running", "hostb", "{'unencrypted': <'yes'>}", "InvalidArgument",
                           "'unencrypted'");
    assert_migrate_refused(host, "running", "hostb", "{'unencrypted': <false>, 'x': <true>}",
                           "InvalidArgument", "'x'");
    assert_migrate_refused(host, "running", "hostb", "{'parallel': <uint32 33>}", "InvalidArgument",
                           "32");
    assert_migrate_refused(host, "running", "hostb", "{'parallel': <uint32 2>, 'postcopy': <true>}",
                           "NotSupported", "post-copy");
}

static void
test_guests_that_cannot_go(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    assert_migrate_refused(host, "off", "hostb", "@a{sv} {}", "DomainNotRunning", "'off'");
    assert_migrate_refused(host, VMF_UUID_OFF, "hostb", "@a{sv} {}", "DomainNotRunning", "'off'");
    assert_migrate_refused(host, "paused", "hostb", "@a{sv} {}", "DomainUnsafe", "virsh resume");
}

static void
test_what_the_configuration_forbids(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    assert_migrate_refused(host, "running", "hostb", "{'unencrypted': <true>}", "NotSupported",
                           "AllowUnencrypted");
    assert_migrate_refused(host, "running", "host-c.example.org", "@a{sv} {}", "PeerRefused",
                           "MayReceive");
}

/* ---- callers that are not root ---- */

/* A method of `interface` at `path`, called by the user nobody; standard error. */
static char *
call_as_nobody(VmfHost *host, const char *path, const char *method, const char *const *arguments)
{
    const char *const front[] = {"setpriv",   "--reuid",        "65534",        "--regid",
                                 "65534",     "--clear-groups", "gdbus",        "call",
                                 "--session", "--dest",         "org.vmferry1", "--object-path",
                                 path,        "--method",       method,         NULL};
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;
    g_autofree char *output = NULL;
    char *complaint = NULL;

    g_strv_builder_addv(builder, (const char **)front);
    g_strv_builder_addv(builder, (const char **)arguments);
    argv = g_strv_builder_end(builder);
    assert_int_equal(vmf_host_run(host, (const char *const *)argv, &output, &complaint), 1);
    return complaint;
}

static void
assert_not_authorized(const char *complaint)
{
    if (!strstr(complaint, "org.vmferry1.Error.NotAuthorized"))
        fail_msg("'%s' is not NotAuthorized", complaint);
}

static void
test_only_root_may_change_things(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    const char *const migrate[] = {"running", "hostb", "{}", NULL};
    const char *const connect[] = {"hostb", NULL};
    const char *const none[] = {NULL};
    g_autoptr(VmfBusMigration) migration = NULL;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;
    g_autofree char *third = NULL;
    g_autofree char *fourth = NULL;

    if (getuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    first = call_as_nobody(host, "/org/vmferry1", "org.vmferry1.Manager.Migrate", migrate);
    assert_not_authorized(first);
    second = call_as_nobody(host, "/org/vmferry1", "org.vmferry1.Manager.Connect", connect);
    assert_not_authorized(second);
    migration = vmf_host_migrate(host, "running", "hostb");
    third = call_as_nobody(host, g_dbus_proxy_get_object_path(G_DBUS_PROXY(migration)),
                           "org.vmferry1.Migration.Cancel", none);
    assert_not_authorized(third);
    fourth = call_as_nobody(host, g_dbus_proxy_get_object_path(G_DBUS_PROXY(migration)),
                            "org.vmferry1.Migration.StartPostCopy", none);
    assert_not_authorized(fourth);
}

static void
test_everybody_may_look(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    const char *const argv[] = {"setpriv",        "--reuid",           "65534", "--regid", "65534",
                                "--clear-groups", g_getenv("VMFERRY"), "peers", "--names", NULL};
    g_autofree char *output = NULL;
    g_autofree char *complaint = NULL;

    if (getuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    assert_int_equal(vmf_host_run(host, argv, &output, &complaint), 0);
    assert_string_equal(output, "host-c.example.org\nhostb\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manager_properties),
        cmocka_unit_test(test_peer_properties),
        cmocka_unit_test(test_no_migration_yet),
        cmocka_unit_test(test_introspection_is_the_documented_contract),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_unknown_options),
        cmocka_unit_test(test_guests_that_cannot_go),
        cmocka_unit_test(test_what_the_configuration_forbids),
        cmocka_unit_test(test_only_root_may_change_things),
        cmocka_unit_test(test_everybody_may_look),
    };

    return cmocka_run_group_tests_name("bus-manager", tests, set_up, tear_down);
}
