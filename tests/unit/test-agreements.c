/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Agreements of random pairs of programs: both ends come to the same, and to what both have. */
#include "cmocka-all.h"

#include <stdlib.h>

#include "base/error.h"
#include "link/agreement.h"
#include "sent-offer.h"

#define ROUNDS 5000

static const VmfAgreementTerms terms = {"0123abcd", "src", "dst", 1700000000000000};

#define FEATURES 10

/* What is true of a feature for all programs, whenever they were made. */
typedef struct {
    char name[8];
    VmfFeatureParameter parameters[2];
} Truth;

typedef struct {
    Truth truth[FEATURES];
    VmfFeature rows[2][FEATURES];
    VmfFeatureTable tables[2];
    VmfOffer *offers[2];
} World;

static void
make_truth(World *world, GRand *rand)
{
    for (guint i = 0; i < FEATURES; i++) {
        Truth *truth = &world->truth[i];

        g_snprintf(truth->name, sizeof truth->name, "f%u", i);
        for (int p = 0; p < 2; p++)
            truth->parameters[p] = (VmfFeatureParameter){
                .name = p ? "p" : "q",
                .combine = (VmfCombine)g_rand_int_range(rand, 0, 4),
                .since = (guint)g_rand_int_range(rand, 1, 5),
                .vital = g_rand_boolean(rand),
                .number = (guint64)g_rand_int_range(rand, 0, 4),
            };
    }
}

/* A program: some of the features, at some versions, with the parameters of these. */
static void
make_table(World *world, int side, GRand *rand)
{
    VmfFeature *row = world->rows[side];

    for (guint i = 0; i < FEATURES; i++) {
        guint n = 0;

        if (g_rand_int_range(rand, 0, 4) == 0)
            continue;
        *row = (VmfFeature){.name = world->truth[i].name,
                            .oldest = (guint)g_rand_int_range(rand, 1, 4),
                            .stand = (VmfStand)g_rand_int_range(rand, 0, 8),
                            .why = "so"};
        if (row->stand > VMF_STAND_REQUIRED)
            row->stand = VMF_STAND_OFFERED;
        row->newest = row->oldest + (guint)g_rand_int_range(rand, 0, 3);
        for (int p = 0; p < 2; p++)
            if (world->truth[i].parameters[p].since <= row->newest)
                row->parameters[n++] = world->truth[i].parameters[p];
        for (int need = 0; need < g_rand_int_range(rand, 0, 3); need++)
            row->needs[need] = world->truth[g_rand_int_range(rand, 0, FEATURES)].name;
        row++;
    }
    world->tables[side] = (VmfFeatureTable){world->rows[side], (gsize)(row - world->rows[side])};
}

static void
make_offer(World *world, int side, GRand *rand)
{
    const VmfFeatureTable *table = &world->tables[side];
    const char *const words[] = {"a", "b", "c", NULL};

    world->offers[side] = vmf_offer_new(table);
    for (gsize i = 0; i < table->n; i++) {
        const char *name = table->rows[i].name;

        for (const VmfFeatureParameter *p = table->rows[i].parameters; p->name; p++)
            if (p->combine == VMF_COMBINE_COMMON && g_rand_boolean(rand))
                vmf_offer_set_strings(world->offers[side], name, p->name,
                                      words + g_rand_int_range(rand, 0, 4));
        if (g_rand_int_range(rand, 0, 10) == 0)
            vmf_offer_refuse(world->offers[side], name, "a setting");
    }
}

/* What the header promises of a feature that is on. */
static void
check_on(const World *world, const VmfAgreement *agreement, const char *name, guint version)
{
    for (int side = 0; side < 2; side++) {
        const VmfOfferRow *row = vmf_offer_find(world->offers[side], name);
        const VmfFeature *feature = vmf_feature_find(&world->tables[side], name);

        assert_non_null(row);
        assert_non_null(feature);
        assert_int_not_equal(row->stand, VMF_STAND_OFF);
        assert_in_range(version, feature->oldest, feature->newest);
        for (char **need = row->needs; *need; need++)
            assert_true(vmf_agreement_has(agreement, *need));
        for (const VmfFeatureParameter *p = feature->parameters; p->name; p++)
            if (p->vital && p->since <= version && p->combine == VMF_COMBINE_SMALLER)
                assert_in_range(vmf_agreement_get_number(agreement, name, p->name), 1, p->number);
    }
    assert_null(vmf_agreement_why_off(agreement, name));
}

/* And of one that is off: both sides could not just as well have had it. */
static void
check_off(const World *world, const VmfAgreement *agreement, const char *name)
{
    const VmfOfferRow *rows[] = {vmf_offer_find(world->offers[0], name),
                                 vmf_offer_find(world->offers[1], name)};
    const char *why = vmf_agreement_why_off(agreement, name);

    for (int side = 0; side < 2; side++)
        assert_false(rows[side] && rows[side]->stand == VMF_STAND_REQUIRED);
    assert_int_equal(why != NULL, rows[0] || rows[1]);
    if (!rows[0] || !rows[1] || rows[0]->stand == VMF_STAND_OFF || rows[1]->stand == VMF_STAND_OFF)
        return;
    if (MAX(rows[0]->oldest, rows[1]->oldest) > MIN(rows[0]->newest, rows[1]->newest))
        return;
    assert_true(g_str_has_prefix(why, "no common value of ") ||
                g_str_has_prefix(why, "it needs '"));
}

/* Each side from its own table and offer, and from what came of the other's over the link. */
static gboolean
check_world(World *world)
{
    g_autoptr(VmfOffer) heard_of_source = send_offer(world->offers[0]);
    g_autoptr(VmfOffer) heard_of_destination = send_offer(world->offers[1]);
    g_autoptr(GError) error_here = NULL;
    g_autoptr(GError) error_there = NULL;
    g_autoptr(VmfAgreement) here = vmf_agreement_new(&world->tables[0], &terms, world->offers[0],
                                                     heard_of_destination, &error_here);
    g_autoptr(VmfAgreement) there = vmf_agreement_new(&world->tables[1], &terms, heard_of_source,
                                                      world->offers[1], &error_there);
    g_autoptr(GVariant) seen_here = NULL;
    g_autoptr(GVariant) seen_there = NULL;

    assert_int_equal(here != NULL, there != NULL);
    if (!here) {
        assert_int_equal(error_here->code, VMF_ERROR_FEATURE_MISSING);
        assert_int_equal(error_there->code, VMF_ERROR_FEATURE_MISSING);
        assert_string_equal(error_here->message, error_there->message);
        return FALSE;
    }
    seen_here = vmf_agreement_describe(here);
    seen_there = vmf_agreement_describe(there);
    assert_true(g_variant_equal(seen_here, seen_there));
    assert_memory_equal(vmf_agreement_get_digest(here), vmf_agreement_get_digest(there),
                        VMF_AGREEMENT_DIGEST_SIZE);
    for (guint i = 0; i < FEATURES; i++) {
        const char *name = world->truth[i].name;
        guint version = vmf_agreement_get_version(here, name);

        if (version > 0)
            check_on(world, here, name, version);
        else
            check_off(world, here, name);
    }
    return TRUE;
}

static void
test_random_pairs_agree_on_what_both_have(void **state)
{
    const char *seed = g_getenv("VMF_TEST_SEED");
    guint32 number = seed ? (guint32)strtoul(seed, NULL, 10) : g_random_int();
    g_autoptr(GRand) rand = g_rand_new_with_seed(number);
    guint agreed = 0;

    print_message("VMF_TEST_SEED=%u makes these again\n", number);
    for (int i = 0; i < ROUNDS; i++) {
        World world = {0};

        make_truth(&world, rand);
        for (int side = 0; side < 2; side++) {
            make_table(&world, side, rand);
            make_offer(&world, side, rand);
        }
        agreed += check_world(&world);
        vmf_offer_free(world.offers[0]);
        vmf_offer_free(world.offers[1]);
    }
    /* both outcomes were tried */
    assert_in_range(agreed, ROUNDS / 20, ROUNDS - ROUNDS / 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_pairs_agree_on_what_both_have),
    };

    return cmocka_run_group_tests_name("agreements", tests, NULL, NULL);
}
