/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "daemon/budget.h"
#include "daemon/kept.h"

#define MIB ((guint64)1 << 20)
#define GIB ((guint64)1 << 30)
#define LEAST (VMF_BUDGET_OWN + VMF_BUDGET_KEPT)

#define LANES ((VMF_LANES_MOST - 1) * VMF_BUDGET_LANE) /* beside the largest window */

static const VmfBudgetWish all = {.window = VMF_WINDOW_MOST, .kept = VMF_KEPT_MOST};
static const VmfBudgetShare none = {0, 0};

static void
on_changed(gpointer owner, guint64 granted)
{
    *(guint64 *)owner = granted;
}

/* What it got. */
static VmfBudgetShare
open_account(VmfBudget *budget, const char *id, const VmfBudgetWish *wish)
{
    VmfBudgetShare share = {0};
    g_autoptr(GError) error = NULL;

    if (!vmf_budget_open(budget, id, wish, &share, &error))
        fail_msg("%s: %s", id, error->message);
    return share;
}

/* An account of the size that every migration has. */
static void
open_least(VmfBudget *budget, const char *id)
{
    const VmfBudgetWish wish = {0};

    open_account(budget, id, &wish);
}

static void
assert_refused(VmfBudget *budget, const char *id, const VmfBudgetWish *wish, VmfError code,
               const char *word)
{
    VmfBudgetShare share;
    g_autoptr(GError) error = NULL;

    assert_false(vmf_budget_open(budget, id, wish, &share, &error));
    assert_int_equal(error->code, code);
    if (!strstr(error->message, word))
        fail_msg("'%s' does not say '%s'", error->message, word);
}

static guint64
fit_cache(VmfBudget *budget, const char *id, guint64 cache)
{
    VmfDelta delta = {TRUE, cache, VMF_COMPRESSION_AUTO, 0};
    gboolean cut = vmf_budget_fit(budget, id, &delta);

    assert_int_equal(cut, delta.cache != cache);
    return delta.cache;
}

static void
test_the_default_is_an_eighth(void **state)
{
    assert_int_equal(vmf_budget_default(64 * GIB), 8 * GIB);
    assert_int_equal(vmf_budget_default(GIB), 256 * MIB);
    assert_int_equal(vmf_budget_default(0), 256 * MIB);
}

static void
test_lanes_are_little_beside_the_window(void **state)
{
    assert_int_equal(vmf_budget_get_lanes(0), 1);
    assert_int_equal(vmf_budget_get_lanes(VMF_BUDGET_WINDOW), 1);
    assert_int_equal(vmf_budget_get_lanes(64 * MIB), 2);
    assert_int_equal(vmf_budget_get_lanes(VMF_WINDOW_MOST), VMF_LANES_MOST);
    assert_int_equal(vmf_budget_get_lanes(GIB), VMF_LANES_MOST);
}

static void
test_one_alone_has_what_it_asks_for(void **state)
{
    guint64 granted = 0;
    g_autoptr(VmfBudget) budget = vmf_budget_new(4 * GIB, 8, on_changed, &granted);
    VmfBudgetShare share = open_account(budget, "a", &all);

    assert_int_equal(share.window, 128 * MIB);
    assert_int_equal(share.kept, 64 * MIB);
    assert_int_equal(granted,
                     VMF_BUDGET_OWN + 144 * MIB + LANES + 64 * MIB); /* an eighth for tables */
    assert_int_equal(fit_cache(budget, "a", 512 * MIB), 512 * MIB);
    assert_int_equal(granted, VMF_BUDGET_OWN + 720 * MIB + LANES);
    vmf_budget_close(budget, "a");
    assert_int_equal(granted, 0);
    vmf_budget_close(budget, "a"); /* harmless */
}

/* With tables of their guests' pages, too. */
static void
test_those_that_come_are_like_those_there(void **state)
{
    const guint64 least = LEAST + GIB / VMF_BUDGET_TABLES;
    g_autoptr(VmfBudget) budget = vmf_budget_new(8 * least + 100 * MIB, 8, NULL, NULL);
    VmfBudgetWish wish = all;

    wish.ram = GIB;
    for (guint i = 0; i < 8; i++) {
        g_autofree char *id = g_strdup_printf("%u", i);

        open_account(budget, id, &wish);
        (void)fit_cache(budget, id, GIB);
    }
}

/* As many as there may be fit, whatever those before them asked for; and never more than all. */
static void
test_everybody_has_what_it_needs(void **state)
{
    guint64 granted = 0;
    g_autoptr(VmfBudget) budget = vmf_budget_new(64 * LEAST, 64, on_changed, &granted);

    for (guint i = 0; i < 64; i++) {
        g_autofree char *id = g_strdup_printf("%u", i);
        VmfBudgetShare share = open_account(budget, id, &all);

        assert_int_equal(share.window, VMF_BUDGET_WINDOW);
        assert_int_equal(share.kept, VMF_BUDGET_KEPT);
        assert_int_equal(fit_cache(budget, id, GIB), 0);
        assert_true(granted <= vmf_budget_get_total(budget));
    }
    assert_refused(budget, "one more", &all, VMF_ERROR_LIMIT_REACHED, "MemoryBudget");
    vmf_budget_close(budget, "7");
    open_account(budget, "one more", &all);
}

static void
test_each_leaves_something_for_the_next(void **state)
{
    g_autoptr(VmfBudget) budget = vmf_budget_new(2 * GIB, 32, NULL, NULL);
    guint64 before = G_MAXUINT64, first = 0;
    guint64 last = 0;

    for (guint i = 0; i < 32; i++) {
        g_autofree char *id = g_strdup_printf("%u", i);
        VmfBudgetShare share = open_account(budget, id, &all);

        assert_true(share.window >= VMF_BUDGET_WINDOW && share.window <= VMF_WINDOW_MOST);
        assert_int_equal(share.window & (share.window - 1), 0);
        last = fit_cache(budget, id, 512 * MIB);
        assert_true(last <= before);
        before = last;
        first = MAX(first, last);
        assert_true(vmf_budget_get_granted(budget) <= 2 * GIB);
    }
    assert_true(first > 200 * MIB && last < 16 * MIB);
}

static void
test_what_is_given_back_is_for_others(void **state)
{
    g_autoptr(VmfBudget) budget = vmf_budget_new(2 * LEAST + 64 * MIB, 2, NULL, NULL);

    open_least(budget, "a");
    open_least(budget, "b");
    vmf_budget_settle(budget, "a", &(VmfBudgetShare){0, VMF_BUDGET_KEPT});
    assert_int_equal(fit_cache(budget, "a", GIB), 32 * MIB);
    assert_int_equal(vmf_budget_get_cache_most(budget, "b"), 16 * MIB);
    assert_int_equal(fit_cache(budget, "b", GIB), 16 * MIB);
    assert_int_equal(fit_cache(budget, "a", 8 * MIB), 8 * MIB);
    assert_int_equal(fit_cache(budget, "b", GIB), 16 * MIB + 20 * MIB);
    vmf_budget_close(budget, "a");
    assert_int_equal(vmf_budget_get_cache_most(budget, "b"), 36 * MIB + 14 * MIB);
    assert_int_equal(vmf_budget_get_cache_most(budget, "a"), G_MAXUINT64);
}

static void
test_deltas_that_are_off_need_no_cache(void **state)
{
    g_autoptr(VmfBudget) budget = vmf_budget_new(GIB, 1, NULL, NULL);
    VmfDelta delta = {FALSE, 16 * GIB, VMF_COMPRESSION_AUTO, 0};
    guint64 before;

    open_least(budget, "a");
    before = vmf_budget_get_granted(budget);
    assert_false(vmf_budget_fit(budget, "a", &delta));
    assert_int_equal(delta.cache, 16 * GIB);
    assert_int_equal(vmf_budget_get_granted(budget), before);
}

/* Its tables are memory, too. */
static void
test_a_level_that_does_not_fit_is_lower(void **state)
{
    g_autoptr(VmfBudget) budget = vmf_budget_new(LEAST + 50 * MIB, 1, NULL, NULL);
    VmfDelta delta = {TRUE, 0, 19, 0};

    open_least(budget, "a");
    assert_true(vmf_budget_fit(budget, "a", &delta));
    assert_int_equal(delta.compression, 9);
    assert_true(vmf_budget_get_granted(budget) <= LEAST + 50 * MIB);
    delta.compression = VMF_COMPRESSION_AUTO;
    assert_false(vmf_budget_fit(budget, "a", &delta));
    assert_int_equal(delta.compression, VMF_COMPRESSION_AUTO);
    assert_int_equal(vmf_budget_get_granted(budget), LEAST);
}

static void
test_a_large_guest_has_large_tables(void **state)
{
    g_autoptr(VmfBudget) budget = vmf_budget_new(4 * GIB, 4, NULL, NULL);
    const VmfBudgetWish wish = {.ram = 256 * GIB};

    open_account(budget, "a", &wish);
    assert_true(vmf_budget_get_granted(budget) > 5 * GIB / 2);
    assert_refused(budget, "b", &wish, VMF_ERROR_LIMIT_REACHED, "more");
    open_least(budget, "b");
    vmf_budget_note_guest(budget, "b", 100 * GIB);
    vmf_budget_note_guest(budget, "b", 100 * GIB); /* once */
    assert_int_equal(vmf_budget_get_granted(budget),
                     2 * LEAST + 256 * GIB / VMF_BUDGET_TABLES + 100 * GIB / VMF_BUDGET_TABLES);
}

/* That more of its kind may come is no reason to give it little; and what never fits is said so. */
static void
test_a_large_guest_alone(void **state)
{
    g_autoptr(VmfBudget) budget = vmf_budget_new(32 * GIB, 16, NULL, NULL);
    VmfBudgetWish wish = all;
    VmfBudgetShare share;

    wish.ram = 200 * GIB;
    share = open_account(budget, "a", &wish);
    assert_int_equal(share.window, VMF_WINDOW_MOST);
    assert_int_equal(share.kept, VMF_KEPT_MOST);
    assert_int_equal(fit_cache(budget, "a", 4 * GIB), 4 * GIB);
    assert_int_equal(fit_cache(budget, "a", 30 * GIB) <= 16 * GIB, TRUE);
    wish.ram = 4096 * GIB;
    assert_refused(budget, "b", &wish, VMF_ERROR_LIMIT_REACHED, "raise MemoryBudget");
    assert_refused(budget, "b", &wish, VMF_ERROR_LIMIT_REACHED, "in all");
}

/* An agreement that nobody came back to. */
static void
test_what_is_not_held_is_void_in_time(void **state)
{
    g_autoptr(VmfBudget) budget = vmf_budget_new(GIB, 4, NULL, NULL);
    VmfBudgetWish wish = all;

    wish.until = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    open_account(budget, "held", &wish);
    open_account(budget, "void", &wish);
    vmf_budget_hold(budget, "held", &none);
    vmf_budget_settle(budget, "held", &none);
    assert_true(vmf_budget_get_granted(budget) > 2 * VMF_BUDGET_OWN);
    wish.until = g_get_monotonic_time();
    open_account(budget, "void", &wish); /* a second talk about the same */
    assert_int_equal(vmf_budget_get_granted(budget), VMF_BUDGET_OWN);
    assert_refused(budget, "held", &all, VMF_ERROR_ALREADY_MIGRATING, "taken");
    vmf_budget_hold(budget, "void", &none);
    assert_int_equal(vmf_budget_get_granted(budget), 2 * VMF_BUDGET_OWN);
}

static gboolean
on_too_late(gpointer late)
{
    *(gboolean *)late = TRUE;
    return G_SOURCE_REMOVE;
}

/* Whether anybody asks or not. */
static void
test_what_is_void_is_shown_so(void **state)
{
    guint64 granted = 0;
    gboolean late = FALSE;
    g_autoptr(VmfBudget) budget = vmf_budget_new(GIB, 4, on_changed, &granted);
    VmfBudgetWish wish = {0};
    guint timer = g_timeout_add_seconds(20, on_too_late, &late);

    wish.until = g_get_monotonic_time() + 100000;
    open_account(budget, "later", &wish);
    wish.until -= 50000;
    open_account(budget, "void", &wish);
    wish.until = 0;
    open_account(budget, "held", &wish);
    assert_int_equal(granted, 3 * LEAST);
    while (granted != LEAST && !late)
        g_main_context_iteration(NULL, TRUE);
    assert_int_equal(granted, LEAST);
    g_source_remove(timer);
}

/* What a pump keeps in any case is not less for want of memory. */
static void
test_what_cannot_be_bounded(void **state)
{
    const VmfBudgetWish wish = {.pumps = 2, .kept_least = 32 * MIB};
    const guint64 need = 2 * VMF_BUDGET_OWN + 32 * MIB;
    g_autoptr(VmfBudget) budget = vmf_budget_new(2 * need - 1, 2, NULL, NULL);
    VmfBudgetShare share = open_account(budget, "a", &wish);

    assert_int_equal(share.kept, 32 * MIB);
    assert_int_equal(vmf_budget_get_granted(budget), need);
    assert_refused(budget, "b", &wish, VMF_ERROR_LIMIT_REACHED, "needs 80 more");
}

/* The next vmferryd hears of what it has by then, and that it has nothing any more. */
static void
test_what_is_kept_of_an_account(void **state)
{
    const VmfMigrationInit init = {
        .id = "0123-abcd",
        .domain = "web",
        .uuid = "3f1c2a5e-0000-4000-8000-00000000abcd",
        .peer = "hostb",
        .outgoing = TRUE,
    };
    g_autoptr(VmfBudget) budget = vmf_budget_new(GIB, 4, NULL, NULL);
    g_autoptr(VmfMigration) migration = vmf_migration_new(&init);
    g_autoptr(GVariant) with = NULL;
    g_autoptr(GVariant) without = NULL;
    VmfBudgetAccount account;

    open_least(budget, init.id);
    vmf_budget_note_guest(budget, init.id, 8 * GIB);
    vmf_kept_set_account(migration, budget);
    with = g_variant_ref_sink(vmf_migration_save(migration));
    assert_true(vmf_kept_get_account(with, &account));
    assert_int_equal(account.own, VMF_BUDGET_OWN + 8 * GIB / VMF_BUDGET_TABLES);
    vmf_budget_close(budget, init.id);
    vmf_kept_set_account(migration, budget);
    without = g_variant_ref_sink(vmf_migration_save(migration));
    assert_false(vmf_kept_get_account(without, &account));
}

/* A vmferryd that was restarted with less: what runs has what it has, but for caches. */
static void
test_what_runs_already_counts(void **state)
{
    g_autoptr(VmfBudget) before = vmf_budget_new(4 * GIB, 4, NULL, NULL);
    g_autoptr(VmfBudget) after = vmf_budget_new(512 * MIB, 4, NULL, NULL);
    const VmfDelta delta = {TRUE, 512 * MIB, VMF_COMPRESSION_AUTO, 0};
    VmfBudgetAccount account;

    assert_false(vmf_budget_get_account(before, "a", &account));
    open_account(before, "a", &all);
    assert_true(vmf_budget_get_account(before, "a", &account));
    vmf_budget_take(after, "a", &account, &delta);
    assert_int_equal(vmf_budget_get_granted(after), VMF_BUDGET_OWN + 208 * MIB + LANES + 512 * MIB);
    assert_refused(after, "b", &all, VMF_ERROR_LIMIT_REACHED, "762 of the 512 MiB");
    assert_int_equal(fit_cache(after, "a", 512 * MIB), 256 * MIB);
    assert_int_equal(vmf_budget_get_granted(after), 488 * MIB + LANES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_default_is_an_eighth),
        cmocka_unit_test(test_lanes_are_little_beside_the_window),
        cmocka_unit_test(test_one_alone_has_what_it_asks_for),
        cmocka_unit_test(test_those_that_come_are_like_those_there),
        cmocka_unit_test(test_everybody_has_what_it_needs),
        cmocka_unit_test(test_each_leaves_something_for_the_next),
        cmocka_unit_test(test_what_is_given_back_is_for_others),
        cmocka_unit_test(test_deltas_that_are_off_need_no_cache),
        cmocka_unit_test(test_a_level_that_does_not_fit_is_lower),
        cmocka_unit_test(test_a_large_guest_has_large_tables),
        cmocka_unit_test(test_a_large_guest_alone),
        cmocka_unit_test(test_what_is_not_held_is_void_in_time),
        cmocka_unit_test(test_what_is_void_is_shown_so),
        cmocka_unit_test(test_what_cannot_be_bounded),
        cmocka_unit_test(test_what_is_kept_of_an_account),
        cmocka_unit_test(test_what_runs_already_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
