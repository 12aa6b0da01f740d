/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Facts about a host, from files that say something, something else, or are not there. */
#include "cmocka-all.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "probe/host.h"

static void
test_host(void **state)
{
    g_autofree char *directory = g_dir_make_tmp("vmf-host-XXXXXX", NULL);
    g_autofree char *meminfo = g_build_filename(directory, "meminfo", NULL);
    g_autofree char *conf = g_build_filename(directory, "qemu.conf", NULL);
    const VmfHostSources sources = {
        .meminfo = meminfo, .qemu_conf = conf, .libvirt_version = 11003000};
    g_autoptr(VmfHostFacts) facts = NULL;

    assert_true(g_file_set_contents(
        meminfo, "MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\nSwapFree: 8 kB\n", -1,
        NULL));
    assert_true(g_file_set_contents(conf,
                                    "# keepalive_interval = 1\nkeepalive_interval = 7\n"
                                    "user = \"keepalive_count = 3\"\n  keepalive_count=9 \n"
                                    "keepalive_interval_x = 8\nkeepalive_count = many\n",
                                    -1, NULL));
    facts = vmf_host_facts_gather(&sources);
    assert_int_equal(facts->memory_total, 2048 * 1024);
    assert_int_equal(facts->memory_available, 1024 * 1024);
    assert_int_equal(facts->swap_free, 8 * 1024);
    assert_int_equal(facts->page_size, getpagesize());
    assert_int_equal(facts->keepalive_interval, 7);
    assert_int_equal(facts->keepalive_count, 9);
    assert_int_equal(g_strv_length(facts->migrate_parameters), 3);
    assert_true(strlen(facts->codec) >= 4);
    assert_int_equal(g_unlink(meminfo), 0);
    assert_int_equal(g_unlink(conf), 0);
    assert_int_equal(g_rmdir(directory), 0);
}

static void
test_host_defaults(void **state)
{
    const VmfHostSources sources = {
        .meminfo = "/nowhere", .qemu_conf = "/nowhere", .libvirt_version = 9000000, .qemu_uid = 1};
    g_autoptr(VmfHostFacts) facts = vmf_host_facts_gather(&sources);

    assert_int_equal(facts->memory_total, 0);
    assert_int_equal(facts->keepalive_interval, 5);
    assert_int_equal(facts->keepalive_count, 5);
    assert_int_equal(g_strv_length(facts->migrate_parameters), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_host_defaults),
    };

    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
