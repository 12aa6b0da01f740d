/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include "ctl/ctl.h"
#include "ctl/progress.h"

#define NOW G_GINT64_CONSTANT(1700000000000000)
#define WIDE 1000

static VmfBusMigration *
new_migration(void)
{
    VmfBusMigration *migration = vmf_bus_migration_skeleton_new();

    g_object_set(migration, "domain", "web", "peer", "hostb", "state", "running", "progress", 0.429,
                 "link-rate", G_GUINT64_CONSTANT(47185920), "bytes-from-qemu",
                 G_GUINT64_CONSTANT(1073741824), "bytes-on-wire", G_GUINT64_CONSTANT(1000),
                 "iteration", 2, "expected-end", (guint64)NOW + 12 * G_USEC_PER_SEC, NULL);
    return migration;
}

static void
assert_line(VmfBusMigration *migration, int width, const char *expected)
{
    g_autofree char *line = vmf_progress_format(migration, NOW, width);

    assert_string_equal(line, expected);
}

static void
test_a_line(void **state)
{
    g_autoptr(VmfBusMigration) migration = new_migration();

    assert_line(migration, WIDE,
                "web -> hostb   42 %  left 0:12  45.0 MiB/s  1.0 GiB from QEMU  "
                "1000 B on the wire  iteration 2");
}

static void
test_a_line_is_no_wider_than_the_terminal(void **state)
{
    g_autoptr(VmfBusMigration) migration = new_migration();

    assert_line(migration, 94,
                "web -> hostb   42 %  left 0:12  45.0 MiB/s  1.0 GiB from QEMU  "
                "1000 B on the wire  iteration 2");
    assert_line(migration, 93,
                "web   42 %  left 0:12  45.0 MiB/s  1.0 GiB QEMU  1000 B wire  iter 2");
    assert_line(migration, 68,
                "web   42 %  left 0:12  45.0 MiB/s  1.0 GiB QEMU  1000 B wire  iter 2");
    assert_line(migration, 39, "web   42 %  left 0:12  45.0 MiB/s  1.0 ");
    assert_line(migration, 3, "web");
    assert_line(migration, 0, "");
}

static void
test_a_long_name_leaves_room_for_the_figures(void **state)
{
    g_autoptr(VmfBusMigration) migration = new_migration();

    vmf_bus_migration_set_domain(migration, "database-of-accounting");
    assert_line(migration, 79,
                "database-of...   42 %  left 0:12  45.0 MiB/s  1.0 GiB QEMU  1000 B wire  iter 2");
    assert_line(migration, 39, "datab...   42 %  left 0:12  45.0 MiB/s ");
}

static void
test_characters_are_not_cut(void **state)
{
    g_autoptr(VmfBusMigration) migration = new_migration();

    vmf_bus_migration_set_domain(migration, "caf\xc3\xa9");
    assert_line(migration, 4, "caf\xc3\xa9");
    assert_line(migration, 3, "caf");
}

static void
test_percent_is_rounded_down(void **state)
{
    const struct {
        double progress;
        const char *expected;
    } cases[] = {
        {0, "web    0 %"}, {0.009, "web    0 %"}, {0.999, "web   99 %"}, {1, "web  100 %"}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmfBusMigration) migration = new_migration();

        vmf_bus_migration_set_progress(migration, cases[i].progress);
        assert_line(migration, 10, cases[i].expected);
    }
}

static void
assert_left(VmfBusMigration *migration, const char *expected)
{
    g_autofree char *line = vmf_progress_format(migration, NOW, WIDE);
    g_autofree char *part = g_strdup_printf(" %%  %s  45.0 MiB/s", expected);

    if (!strstr(line, part))
        fail_msg("'%s' lacks '%s'", line, part);
}

static void
test_time_left(void **state)
{
    g_autoptr(VmfBusMigration) migration = new_migration();

    vmf_bus_migration_set_expected_end(migration, 0);
    assert_left(migration, "time left unknown");
    vmf_bus_migration_set_expected_end(migration, (guint64)NOW - 1);
    assert_left(migration, "time left unknown");
    vmf_bus_migration_set_expected_end(migration, (guint64)NOW + G_GUINT64_CONSTANT(3723000000));
    assert_left(migration, "left 1:02:03");
}

static void
test_other_states_are_named(void **state)
{
    g_autoptr(VmfBusMigration) migration = new_migration();

    vmf_bus_migration_set_state(migration, "preparing");
    assert_left(migration, "preparing");
    vmf_bus_migration_set_state(migration, "switching");
    assert_left(migration, "switching");
}

static void
test_bytes(void **state)
{
    const struct {
        guint64 bytes;
        const char *expected;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {G_GUINT64_CONSTANT(1) << 20, "1.0 MiB"},
        {G_GUINT64_CONSTANT(5) << 30, "5.0 GiB"},
        {G_GUINT64_CONSTANT(3) << 50, "3072.0 TiB"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = vmf_ctl_format_bytes(cases[i].bytes);

        assert_string_equal(text, cases[i].expected);
    }
}

static void
test_seconds(void **state)
{
    const struct {
        double seconds;
        const char *expected;
    } cases[] = {{0, "0:00"},       {0.4, "0:00"},       {6.6, "0:07"},     {59.6, "1:00"},
                 {3599.4, "59:59"}, {3599.6, "1:00:00"}, {3723, "1:02:03"}, {360000, "100:00:00"}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = vmf_ctl_format_seconds(cases[i].seconds);

        assert_string_equal(text, cases[i].expected);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line),
        cmocka_unit_test(test_a_line_is_no_wider_than_the_terminal),
        cmocka_unit_test(test_a_long_name_leaves_room_for_the_figures),
        cmocka_unit_test(test_characters_are_not_cut),
        cmocka_unit_test(test_percent_is_rounded_down),
        cmocka_unit_test(test_time_left),
        cmocka_unit_test(test_other_states_are_named),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_seconds),
    };

    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
