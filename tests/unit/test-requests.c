/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is asked of a migration's deltas, and what is granted of it. */
#include "cmocka-all.h"

#include <gio/gio.h>

#include "base/error.h"
#include "daemon/migration.h"

#define MIB ((guint64)1 << 20)

static VmfMigration *
migration_new(gboolean outgoing)
{
    const VmfMigrationInit init = {
        .id = "0123-abcd",
        .domain = "web",
        .uuid = "3f1c2a5e-0000-4000-8000-00000000abcd",
        .peer = "hostb",
        .outgoing = outgoing,
        .delta = {TRUE, 512 * MIB, VMF_COMPRESSION_AUTO, 3},
    };

    return vmf_migration_new(&init);
}

static void
assert_delta(const VmfDelta *delta, gboolean on, guint64 cache, int compression)
{
    assert_int_equal(delta->on, on);
    assert_int_equal(delta->cache, cache);
    assert_int_equal(delta->compression, compression);
}

static void
assert_asked(VmfMigration *migration, gboolean on, guint64 cache, int compression)
{
    VmfDelta delta;

    vmf_migration_get_delta(migration, &delta);
    assert_delta(&delta, on, cache, compression);
}

static void
assert_granted(VmfMigration *migration, gboolean on, guint64 cache, int compression)
{
    VmfDelta delta;

    vmf_migration_get_granted_delta(migration, &delta);
    assert_delta(&delta, on, cache, compression);
}

/* Who asks while less is being granted than was asked for before is not forgotten for that. */
static void
test_what_is_granted_is_not_what_was_asked(void **state)
{
    g_autoptr(VmfMigration) migration = migration_new(TRUE);
    VmfDelta before, wanted;

    vmf_migration_get_delta(migration, &before);
    wanted = before;
    wanted.compression = 7;
    assert_true(vmf_migration_request_delta(migration, &wanted, NULL));
    before.cache = 32 * MIB;
    vmf_migration_grant_delta(migration, &before);
    assert_asked(migration, TRUE, 512 * MIB, 7);
    assert_granted(migration, TRUE, 32 * MIB, VMF_COMPRESSION_AUTO);
}

/* It is begun with when the first byte comes, whatever else was asked for until then. */
static void
test_what_is_expected_stays(void **state)
{
    g_autoptr(VmfMigration) migration = migration_new(TRUE);
    VmfDelta delta;

    vmf_migration_get_delta(migration, &delta);
    assert_int_equal(delta.expected, 3);
    delta.cache = 64 * MIB;
    assert_true(vmf_migration_request_delta(migration, &delta, NULL));
    vmf_migration_get_delta(migration, &delta);
    assert_int_equal(delta.expected, 3);
    assert_asked(migration, TRUE, 64 * MIB, VMF_COMPRESSION_AUTO);
}

static void
count(VmfMigration *migration, guint *counted)
{
    (*counted)++;
}

static void
test_what_cannot_be(void **state)
{
    g_autoptr(VmfMigration) out = migration_new(TRUE);
    g_autoptr(VmfMigration) in = migration_new(FALSE);
    const VmfDelta sensible = {TRUE, MIB, 1, 0};
    const VmfDelta odd = {TRUE, MIB, VMF_COMPRESSION_MOST + 1, 0};
    g_autoptr(GError) error = NULL;
    guint told = 0;

    g_signal_connect(out, "delta", G_CALLBACK(count), &told);
    assert_false(vmf_migration_request_delta(out, &odd, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT));
    g_clear_error(&error);
    assert_false(vmf_migration_request_delta(in, &sensible, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED));
    g_clear_error(&error);
    assert_true(vmf_migration_request_delta(out, &sensible, NULL));
    assert_int_equal(told, 1);
    vmf_migration_finish(out, NULL);
    assert_false(vmf_migration_request_delta(out, &sensible, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_NO_SUCH_MIGRATION));
    assert_int_equal(told, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_granted_is_not_what_was_asked),
        cmocka_unit_test(test_what_is_expected_stays),
        cmocka_unit_test(test_what_cannot_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
