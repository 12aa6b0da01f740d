/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How hard to pack, on hosts and links that are worked out. */
#include "cmocka-all.h"

#include "pump/pack-choice.h"

#define MIB (1024.0 * 1024)
#define BATCH (240.0 * 1024)

typedef struct {
    double link;  /* bytes/s that it takes */
    double input; /* bytes/s that come */
    double speed; /* bytes/s that are packed at level 3 */
    double other; /* s of the one processor that all else takes for a byte; 0: there are several */
    double ratio; /* that packing gives */
} World;

typedef struct {
    VmfPackChoice choice;
    gint64 now;
    double raw, packed; /* bytes in */
} Run;

/* One batch: waiting for input, packing, waiting for the link. */
static void
step(Run *run, const World *world)
{
    VmfPackWay way = vmf_pack_choice_way(&run->choice);
    double cost = way.raw ? 0 : way.far ? 1.5 : way.level == 3 ? 1 : way.level == 1 ? 0.65 : 0.5;
    double out = way.raw ? BATCH : BATCH / world->ratio;
    double work = BATCH / world->speed * cost;
    double packing =
        work / run->choice.lanes; /* side by side, so that a batch is ready that often */
    double sending = out / world->link + (world->other > 0 ? BATCH * world->other + packing : 0);
    double waiting = BATCH / world->input - packing - sending;
    VmfPackBatch batch = {.in = (gsize)BATCH, .out = (gsize)out};

    /* sending goes on while the next batch is packed */
    run->now += (gint64)(MAX(waiting, 0) * G_USEC_PER_SEC);
    batch.begin = run->now;
    batch.busy = (gint64)(work * G_USEC_PER_SEC);
    batch.blocked = (gint64)(MAX(sending - packing, 0) * G_USEC_PER_SEC);
    run->now += (gint64)(packing * G_USEC_PER_SEC) + batch.blocked;
    batch.end = run->now;
    *(way.raw ? &run->raw : &run->packed) += BATCH;
    if (vmf_pack_choice_wants_sample(&run->choice))
        vmf_pack_choice_note_sample(&run->choice, VMF_PACK_TRY_MAX,
                                    (gsize)(VMF_PACK_TRY_MAX / world->ratio),
                                    (gint64)(VMF_PACK_TRY_MAX / world->speed * G_USEC_PER_SEC));
    vmf_pack_choice_note(&run->choice, &batch);
}

static void
go(Run *run, const World *world, double seconds)
{
    gint64 end = run->now + (gint64)(seconds * G_USEC_PER_SEC);

    run->raw = run->packed = 0;
    while (run->now < end)
        step(run, world);
}

static void
begin_lanes(Run *run, guint lanes)
{
    *run = (Run){.now = 1};
    vmf_pack_choice_init(&run->choice, lanes);
}

static void
begin(Run *run)
{
    begin_lanes(run, 1);
}

static void
test_thin_link(void **state)
{
    const World world = {24 * MIB, 1000 * MIB, 250 * MIB, 0, 3};
    Run run;

    begin(&run);
    go(&run, &world, 20);
    assert_true(run.raw < 0.02 * run.packed);
    assert_int_equal(vmf_pack_choice_way(&run.choice).level, 3);
}

static void
test_fat_link(void **state)
{
    const World world = {2000 * MIB, 600 * MIB, 120 * MIB, 0, 3};
    Run run;

    begin(&run);
    go(&run, &world, 10);
    assert_true(run.packed == 0); /* not even tried */
}

/* What one lane is too slow for pays in four, and as hard as these can. */
static void
test_lanes(void **state)
{
    const World world = {400 * MIB, 1100 * MIB, 400 * MIB, 0, 3};
    Run run;

    begin(&run);
    go(&run, &world, 10);
    assert_true(run.packed < 0.02 * run.raw);
    begin_lanes(&run, 4);
    go(&run, &world, 2);
    go(&run, &world, 10);
    assert_true(run.raw < 0.05 * run.packed);
    assert_true(run.packed > 1.5 * 10 * world.link);
}

/* The link looks full, but what is waited for is a processor. */
static void
test_busy_processor(void **state)
{
    const World world = {2000 * MIB, 600 * MIB, 60 * MIB, 1 / (70 * MIB), 2.5};
    Run run;

    begin(&run);
    go(&run, &world, 1);
    assert_true(run.packed == 0);
    go(&run, &world, 20);
    assert_true(run.packed < 0.02 * run.raw);
}

static void
test_incompressible(void **state)
{
    const World thin = {24 * MIB, 1000 * MIB, 600 * MIB, 0, 1.001};
    const World packs = {24 * MIB, 1000 * MIB, 250 * MIB, 0, 3};
    Run run;

    begin(&run);
    go(&run, &thin, 2);
    go(&run, &thin, 20);
    assert_true(run.packed < 0.05 * run.raw);
    /* what comes later is found out */
    go(&run, &packs, 40);
    go(&run, &packs, 5);
    assert_true(run.raw < 0.2 * run.packed);
}

/* A guest that gives little: packing takes little, and the link may be someone else's, too. */
static void
test_little_input(void **state)
{
    const World world = {2000 * MIB, 20 * MIB, 250 * MIB, 0, 3};
    Run run;

    begin(&run);
    go(&run, &world, 20);
    assert_true(run.raw < 0.01 * run.packed);
}

/* The packer is busy all the time, and just fast enough: to pack less would be no faster. */
static void
test_less_is_no_faster(void **state)
{
    const World world = {64 * MIB, 1000 * MIB, 115 * MIB, 0, 2.6};
    double at_1 = 0;
    Run run;

    begin(&run);
    vmf_pack_choice_expect(&run.choice, 1, run.now);
    for (guint i = 0; i < 100; i++) {
        go(&run, &world, 0.1);
        at_1 += vmf_pack_choice_way(&run.choice).level == 1 ? run.packed : 0;
    }
    assert_true(at_1 > 0.85 * 10 * 64 * 2.6 * MIB);
}

/* A slower processor: level 3 is left for what keeps up. */
static void
test_less_is_faster(void **state)
{
    const World world = {64 * MIB, 1000 * MIB, 80 * MIB, 0, 2.6};
    Run run;

    begin(&run);
    vmf_pack_choice_expect(&run.choice, 3, run.now);
    go(&run, &world, 0.5);
    assert_true(vmf_pack_choice_way(&run.choice).level < 3);
}

/* So slow that a period has too few bytes to judge by: several of them do. */
static void
test_slow_and_incompressible(void **state)
{
    const World world = {1.5 * MIB, 1000 * MIB, 600 * MIB, 0, 1.001};
    Run run;

    begin(&run);
    vmf_pack_choice_expect(&run.choice, 3, run.now);
    go(&run, &world, 3);
    assert_true(vmf_pack_choice_way(&run.choice).raw);
}

/* What is known of link and guest is begun with. */
static void
test_expected(void **state)
{
    const World world = {24 * MIB, 1000 * MIB, 250 * MIB, 0, 3};
    Run run;

    begin(&run);
    vmf_pack_choice_expect(&run.choice, 3, run.now);
    assert_int_equal(vmf_pack_choice_way(&run.choice).level, 3);
    assert_false(vmf_pack_choice_way(&run.choice).far);
    go(&run, &world, 0.5);
    assert_true(run.raw == 0 && run.packed > 0);
    /* QEMU begins with a few bytes that do not pack, and makes one wait for more */
    begin(&run);
    vmf_pack_choice_expect(&run.choice, 1, run.now);
    vmf_pack_choice_note(&run.choice,
                         &(VmfPackBatch){.begin = 1, .end = 170001, .in = 900, .out = 900});
    run.now += 170000;
    step(&run, &world);
    assert_int_equal(vmf_pack_choice_way(&run.choice).level, 1);
    begin(&run);
    vmf_pack_choice_expect(&run.choice, 2, run.now);
    assert_int_equal(vmf_pack_choice_way(&run.choice).level, 1);
    begin(&run);
    vmf_pack_choice_expect(&run.choice, 0, run.now);
    assert_true(vmf_pack_choice_way(&run.choice).raw);
}

/* It was expected in vain. */
static void
test_expected_wrongly(void **state)
{
    const World incompressible = {24 * MIB, 1000 * MIB, 600 * MIB, 0, 1.001};
    const World busy = {2000 * MIB, 600 * MIB, 60 * MIB, 1 / (70 * MIB), 2.5};
    Run run;

    begin(&run);
    vmf_pack_choice_expect(&run.choice, 1, run.now);
    go(&run, &incompressible, 1);
    assert_true(vmf_pack_choice_way(&run.choice).raw);
    assert_true(run.packed < 0.25 * run.raw);
    begin(&run);
    vmf_pack_choice_expect(&run.choice, 1, run.now);
    go(&run, &busy, 3);
    assert_true(vmf_pack_choice_way(&run.choice).raw);
    assert_true(run.packed < run.raw);
}

static void
test_fixed(void **state)
{
    const World world = {24 * MIB, 1000 * MIB, 250 * MIB, 0, 1};
    Run run;

    begin(&run);
    vmf_pack_choice_set(&run.choice, 7);
    go(&run, &world, 3);
    assert_true(run.raw == 0);
    assert_int_equal(vmf_pack_choice_way(&run.choice).level, 7);
    vmf_pack_choice_set(&run.choice, VMF_PACK_OFF);
    go(&run, &world, 3);
    assert_true(run.packed == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thin_link),
        cmocka_unit_test(test_fat_link),
        cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_busy_processor),
        cmocka_unit_test(test_incompressible),
        cmocka_unit_test(test_little_input),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_slow_and_incompressible),
        cmocka_unit_test(test_less_is_no_faster),
        cmocka_unit_test(test_less_is_faster),
        cmocka_unit_test(test_expected),
        cmocka_unit_test(test_expected_wrongly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
