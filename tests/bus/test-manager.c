/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One daemon: what it shows on the bus, and what Migrate refuses before anything happens. */
#include "fixture.h"

#include "vmferry-config.h"

typedef struct {
    VmfLab *lab;
    VmfHost *host;
} Fixture;

static gboolean
libvirt_is_connected(gpointer manager)
{
    return vmf_bus_manager_get_libvirt_connected(manager);
}

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->host = vmf_lab_add_host(fixture->lab, "hosta");
    vmf_host_add_peer(fixture->host, "hostb", 9, "LibvirtUri=test:///default");
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

static void
test_manager_properties(void **state)
{
    Fixture *fixture = *state;
    VmfBusManager *manager = fixture->host->manager;
    const char *const *features = vmf_bus_manager_get_features(manager);

    assert_string_equal(vmf_bus_manager_get_version(manager), VMF_VERSION);
    assert_true(g_strv_contains(features, "frames"));
    assert_true(g_strv_contains(features, "tls"));
    vmf_wait_until(libvirt_is_connected, manager, "LibvirtConnected");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manager_properties),
    };

    return cmocka_run_group_tests_name("bus-manager", tests, set_up, tear_down);
}
