/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What migrations teach about links and guests. */
#include "cmocka-all.h"

#include "daemon/lessons.h"

#define UUID "5ac4e3f0-7d3a-4a3c-9d5c-7a1b2c3d4e5f"

static GVariant *
statistics(const char *text)
{
    return g_variant_ref_sink(g_variant_new_parsed(text));
}

static void
test_pages(void **state)
{
    g_autoptr(GVariant) good = statistics(
        "{'pages': <{'whole': uint64 10000, 'delta': uint64 3000, 'unchanged': uint64 1000}>,"
        " 'delta-bytes': <uint64 1228800>, 'zstd-in': <uint64 10000000>, 'zstd-out': <uint64 "
        "4000000>}");
    g_autoptr(GVariant) few = statistics(
        "{'pages': <{'whole': uint64 10000, 'delta': uint64 10, 'unchanged': uint64 10}>}");
    g_autoptr(GVariant) none = statistics("{'zstd-in': <uint64 1000>}");
    VmfPageLesson lesson;

    assert_true(vmf_lessons_read_pages(good, &lesson));
    assert_true(lesson.whole_ratio == 0.4);
    assert_true(lesson.delta_ratio == 0.1);
    assert_true(lesson.packs);
    assert_true(lesson.unchanged_share == 0.25);
    assert_false(vmf_lessons_read_pages(few, &lesson));
    assert_false(vmf_lessons_read_pages(none, &lesson));
}

static VmfMigration *
migration_new(guint bandwidth)
{
    const VmfMigrationInit init = {.id = "12345678",
                                   .domain = "g",
                                   .uuid = UUID,
                                   .peer = "there",
                                   .outgoing = TRUE,
                                   .bandwidth = bandwidth};

    return vmf_migration_new(&init);
}

/* So many bytes within a little more than a second. */
static void
run(VmfLessons *lessons, guint bandwidth, guint64 bytes, guint64 packed)
{
    g_autoptr(VmfMigration) migration = migration_new(bandwidth);
    g_autoptr(GVariant) first = statistics("{'bytes-wire-out': <uint64 0>}");
    g_autofree char *text = g_strdup_printf(
        "{'bytes-wire-out': <uint64 %" G_GUINT64_FORMAT ">,"
        " 'pages': <{'whole': uint64 5000, 'delta': uint64 2000, 'unchanged': uint64 0}>,"
        " 'delta-bytes': <uint64 4096000>, 'zstd-in': <uint64 %" G_GUINT64_FORMAT ">,"
        " 'zstd-out': <uint64 %" G_GUINT64_FORMAT ">}",
        bytes, packed, packed / 4);
    g_autoptr(GVariant) last = statistics(text);

    vmf_lessons_watch(lessons, migration);
    vmf_migration_note_statistics(migration, first, 1);
    g_usleep(1050000);
    vmf_migration_note_statistics(migration, last, 2);
    vmf_migration_finish(migration, NULL);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
}

static void
test_links_and_guests(void **state)
{
    VmfLessons *lessons = vmf_lessons_new();
    VmfFacts facts;
    double assumed;

    vmf_facts_init(&facts, 1 << 30);
    assumed = facts.link_rate;
    assert_false(vmf_lessons_apply(lessons, UUID, "there", &facts));
    assert_true(facts.link_rate == assumed);
    run(lessons, 20, 10000000, 8000000);
    assert_false(vmf_lessons_apply(lessons, UUID, "there", &facts)); /* it was held back */
    run(lessons, 0, 10000000, 0);
    assert_true(vmf_lessons_apply(lessons, UUID, "there", &facts));
    assert_true(facts.link_rate > 5e6 && facts.link_rate <= 9.6e6);
    assert_true(facts.delta_ratio == 0.5);
    assert_true(facts.whole_ratio == 0.25); /* from before: the latest was not packed */
    assert_false(vmf_lessons_apply(lessons, "another", "elsewhere", &facts));
    assert_true(facts.delta_ratio == 0.5); /* as that of the one there is */
    vmf_lessons_unref(lessons);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_links_and_guests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
