/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Offers and agreements: by hand, against a future peer, and random pairs of tables. */
#include "cmocka-all.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "link/agreement.h"

#define ROUNDS 5000

static const VmfAgreementTerms terms = {"0123abcd", "src", "dst", 1700000000000000};

/* A table that does not change when features are added, for what is compared byte by byte. */
static const VmfFeature small_rows[] = {
    {.name = "base", .oldest = 1, .newest = 2, .stand = VMF_STAND_OFFERED},
    {.name = "pack",
     .oldest = 1,
     .newest = 1,
     .stand = VMF_STAND_OFFERED,
     .needs = {"base"},
     .parameters = {{"window", VMF_COMBINE_SMALLER, 1, TRUE, 1024},
                    {"memory", VMF_COMBINE_SOURCE, 1, TRUE, 99},
                    {"kinds", VMF_COMBINE_COMMON, 1, FALSE, 0}}},
    {.name = "late", .oldest = 1, .newest = 1, .stand = VMF_STAND_OFF, .why = "not built"},
    {.name = "said", .oldest = 3, .newest = 3, .stand = VMF_STAND_OFFERED},
};
static const VmfFeatureTable small = {small_rows, G_N_ELEMENTS(small_rows)};

/* As the other side gets it. */
static VmfOffer *
send_offer(const VmfOffer *offer)
{
    g_autoptr(GVariant) wire = vmf_offer_encode(offer);
    g_autoptr(GError) error = NULL;
    VmfOffer *received = vmf_offer_decode(wire, &error);

    assert_null(error);
    return received;
}

static VmfAgreement *
agree(const VmfOffer *source, const VmfOffer *destination)
{
    g_autoptr(GError) error = NULL;
    VmfAgreement *agreement = vmf_agreement_new(&small, &terms, source, destination, &error);

    assert_null(error);
    return agreement;
}

static void
assert_missing(const VmfOffer *source, const VmfOffer *destination, const char *message)
{
    g_autoptr(GError) error = NULL;

    assert_null(vmf_agreement_new(&small, &terms, source, destination, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_FEATURE_MISSING));
    assert_string_equal(error->message, message);
}

static void
test_both_sides_of_one_program_agree(void **state)
{
    g_autoptr(VmfOffer) source = vmf_offer_new(&small);
    g_autoptr(VmfOffer) destination = vmf_offer_new(&small);
    const char *const theirs[] = {"zlib", "zstd", "qpl", NULL};
    const char *const ours[] = {"zstd", "lz4", "zlib", NULL};
    g_autoptr(VmfAgreement) agreement = NULL;
    g_auto(GStrv) kinds = NULL;

    vmf_offer_set_number(source, "pack", "window", 4096);
    vmf_offer_set_number(destination, "pack", "memory", 5);
    vmf_offer_set_strings(source, "pack", "kinds", ours);
    vmf_offer_set_strings(destination, "pack", "kinds", theirs);
    agreement = agree(source, destination);
    assert_int_equal(vmf_agreement_get_version(agreement, "base"), 2);
    assert_int_equal(vmf_agreement_get_version(agreement, "said"), 3);
    assert_int_equal(vmf_agreement_get_number(agreement, "pack", "window"), 1024);
    assert_int_equal(vmf_agreement_get_number(agreement, "pack", "memory"), 99);
    kinds = vmf_agreement_get_strings(agreement, "pack", "kinds");
    assert_int_equal(g_strv_length(kinds), 2);
    assert_string_equal(kinds[0], "zstd");
    assert_string_equal(kinds[1], "zlib");
    assert_false(vmf_agreement_has(agreement, "late"));
    assert_string_equal(vmf_agreement_why_off(agreement, "late"), "src refuses it: not built");
    assert_null(vmf_agreement_why_off(agreement, "base"));
    assert_int_equal(vmf_agreement_get_number(agreement, "late", "window"), 0);
    assert_false(vmf_agreement_has(agreement, "nonsense"));
}

/* What goes over the control link, and what both sides compare: written down. */
static void
test_bytes_are_as_written_down(void **state)
{
    g_autoptr(VmfOffer) offer = vmf_offer_new(&small);
    g_autoptr(VmfAgreement) agreement = agree(offer, offer);
    g_autoptr(GVariant) wire = vmf_offer_encode(offer);
    g_autoptr(GVariant) people = vmf_agreement_describe(agreement);
    g_autofree char *said = g_variant_print(wire, FALSE);
    g_autofree char *shown = g_variant_print(people, FALSE);
    g_autoptr(GString) hex = g_string_new(NULL);

    assert_string_equal(g_variant_get_type_string(wire), "a(suussasa{sv})");
    assert_string_equal(
        said, "[('base', 1, 2, 'offered', '', [], {}), ('late', 1, 1, 'off', 'not built', [], {}), "
              "('pack', 1, 1, 'offered', '', ['base'], {'memory': <uint64 99>, 'window': <uint64 "
              "1024>}), ('said', 3, 3, 'offered', '', [], {})]");
    assert_string_equal(g_variant_get_type_string(people), "a(susa{sv})");
    assert_string_equal(
        shown, "[('base', 2, '', {}), ('late', 0, 'src refuses it: not built', {}), ('pack', 1, "
               "'', {'memory': <uint64 99>, 'window': <uint64 1024>}), ('said', 3, '', {})]");
    for (int i = 0; i < VMF_AGREEMENT_DIGEST_SIZE; i++)
        g_string_append_printf(hex, "%02x", vmf_agreement_get_digest(agreement)[i]);
    assert_string_equal(hex->str,
                        "a7bf79bb847eaa78b0c23359185e60ac3569536188083a9b087b491418fdf85c");
}

static void
test_the_digest_is_about_terms_and_offers(void **state)
{
    g_autoptr(VmfOffer) offer = vmf_offer_new(&small);
    g_autoptr(VmfOffer) other = vmf_offer_new(&small);
    g_autoptr(VmfAgreement) agreement = agree(offer, offer);
    const VmfAgreementTerms changed[] = {
        {"0123abce", "src", "dst", terms.time},
        {"0123abcd", "sr", "cdst", terms.time},
        {"0123abcd", "dst", "src", terms.time},
        {"0123abcd", "src", "dst", terms.time + 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(changed); i++) {
        g_autoptr(VmfAgreement) changeling =
            vmf_agreement_new(&small, &changed[i], offer, offer, NULL);

        assert_memory_not_equal(vmf_agreement_get_digest(agreement),
                                vmf_agreement_get_digest(changeling), VMF_AGREEMENT_DIGEST_SIZE);
    }
    /* also where the result is the same */
    vmf_offer_set_number(other, "pack", "memory", 1);
    for (int swap = 0; swap < 2; swap++) {
        g_autoptr(VmfAgreement) changeling = agree(swap ? offer : other, swap ? other : offer);

        assert_memory_not_equal(vmf_agreement_get_digest(agreement),
                                vmf_agreement_get_digest(changeling), VMF_AGREEMENT_DIGEST_SIZE);
    }
}

static void
test_what_is_required_ends_the_talk(void **state)
{
    g_autoptr(VmfOffer) source = vmf_offer_new(&small);
    g_autoptr(VmfOffer) destination = vmf_offer_new(&small);
    g_autoptr(VmfAgreement) agreement = NULL;

    vmf_offer_require(source, "base", "an option");
    vmf_offer_refuse(destination, "base", "Base=no");
    vmf_offer_refuse(destination, "base", "another reason");
    assert_missing(source, destination,
                   "feature 'base' is required by src (an option), but dst refuses it: Base=no "
                   "(src speaks versions 1 to 2, dst versions 1 to 2)");
    vmf_offer_refuse(source, "base", "no more"); /* of two, the refusal stands */
    agreement = agree(source, destination);
    assert_string_equal(vmf_agreement_why_off(agreement, "base"), "src refuses it: no more");
    assert_string_equal(vmf_agreement_why_off(agreement, "pack"),
                        "it needs 'base', which is off: src refuses it: no more");
}

static void
test_a_value_of_nothing_is_no_feature(void **state)
{
    g_autoptr(VmfOffer) source = vmf_offer_new(&small);
    g_autoptr(VmfOffer) destination = vmf_offer_new(&small);
    g_autoptr(VmfAgreement) agreement = NULL;

    vmf_offer_set_number(destination, "pack", "window", 0);
    agreement = agree(source, destination);
    assert_string_equal(vmf_agreement_why_off(agreement, "pack"), "no common value of 'window'");
}

/* ---- a peer from the future ---- */

/* base is newer and has more to say, pack cannot be spoken any more, and there are further rows. */
static const VmfFeature future_rows[] = {
    {.name = "base",
     .oldest = 2,
     .newest = 7,
     .stand = VMF_STAND_OFFERED,
     .parameters = {{"speed", VMF_COMBINE_SMALLER, 3, TRUE, 10}}},
    {.name = "beam", .oldest = 1, .newest = 1, .stand = VMF_STAND_OFFERED, .needs = {"base"}},
    {.name = "pack", .oldest = 2, .newest = 3, .stand = VMF_STAND_OFFERED},
    {.name = "said",
     .oldest = 1,
     .newest = 9,
     .stand = VMF_STAND_REQUIRED,
     .why = "always",
     .needs = {"base"}},
};
static const VmfFeatureTable future = {future_rows, G_N_ELEMENTS(future_rows)};

static void
test_a_future_peer_is_understood_as_far_as_it_goes(void **state)
{
    g_autoptr(VmfOffer) theirs = vmf_offer_new(&future);
    g_autoptr(VmfOffer) heard = send_offer(theirs);
    g_autoptr(VmfOffer) ours = vmf_offer_new(&small);
    g_autoptr(VmfAgreement) here = agree(ours, heard);
    g_autoptr(VmfAgreement) there = vmf_agreement_new(&future, &terms, ours, theirs, NULL);

    assert_int_equal(vmf_agreement_get_version(here, "base"), 2);
    assert_int_equal(vmf_agreement_get_number(here, "base", "speed"), 0);
    assert_int_equal(vmf_agreement_get_version(here, "said"), 3);
    assert_string_equal(vmf_agreement_why_off(here, "beam"), "src does not know it");
    assert_string_equal(vmf_agreement_why_off(here, "late"), "dst does not know it");
    assert_string_equal(vmf_agreement_why_off(here, "pack"),
                        "src speaks version 1 of it, dst versions 2 to 3");
    assert_memory_equal(vmf_agreement_get_digest(here), vmf_agreement_get_digest(there),
                        VMF_AGREEMENT_DIGEST_SIZE);
    vmf_offer_require(theirs, "beam", "Beam=always");
    assert_missing(ours, theirs,
                   "feature 'beam' is required by dst (Beam=always), but src does not know it (src "
                   "speaks no version, dst version 1)");
    vmf_offer_require(ours, "pack", "an option");
    vmf_offer_refuse(theirs, "beam", "no beam");
    assert_missing(ours, theirs,
                   "feature 'pack' is required by src (an option), but src speaks version 1 of it, "
                   "dst versions 2 to 3 (src speaks version 1, dst versions 2 to 3)");
}

/* ---- random pairs ---- */

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

/* ---- what a peer may not send ---- */

static void
assert_not_an_offer(const char *text, const char *what)
{
    g_autoptr(GVariant) wire = g_variant_parse(NULL, text, NULL, NULL, NULL);
    g_autoptr(GError) error = NULL;

    assert_non_null(wire);
    assert_null(vmf_offer_decode(wire, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_PROTOCOL));
    if (!strstr(error->message, what))
        fail_msg("%s: not '%s'", error->message, what);
}

#define ROW "@a(suussasa{sv}) "

static void
test_offers_that_are_none_are_refused(void **state)
{
    assert_not_an_offer("'hello'", "it is not an offer");
    assert_not_an_offer(ROW "[('', 1, 1, 'off', '', [], {})]", "a name that is not valid");
    assert_not_an_offer(ROW "[('A\nb', 1, 1, 'off', '', [], {})]", "'A b' has a name");
    assert_not_an_offer(ROW "[('a', 1, 1, 'off', '', [], {}), ('a', 1, 1, 'off', '', [], {})]",
                        "twice");
    assert_not_an_offer(ROW "[('a', 0, 1, 'off', '', [], {})]", "make no sense");
    assert_not_an_offer(ROW "[('a', 2, 1, 'off', '', [], {})]", "make no sense");
    assert_not_an_offer(ROW "[('a', 1, 1, 'maybe', '', [], {})]", "stand");
    assert_not_an_offer(ROW "[('a', 1, 1, 'off', 'x\x1b[0m', [], {})]", "reason");
    assert_not_an_offer(ROW "[('a', 1, 1, 'off', '', ['B'], {})]", "needs");
    assert_not_an_offer(ROW "[('a', 1, 1, 'off', '', [], {'': <1>})]", "a parameter whose name");
    assert_not_an_offer(ROW "[('a', 1, 1, 'off', '', [], {'p': <1>, 'p': <2>})]",
                        "a parameter twice");
}

static void
test_offers_are_bounded(void **state)
{
    g_autoptr(GString) rows = g_string_new(ROW "[");
    g_autofree char *long_text = g_strnfill(VMF_OFFER_BYTES_MAX, 'x');
    g_autofree char *large =
        g_strdup_printf(ROW "[('a', 1, 1, 'off', '', [], {'p': <'%s'>})]", long_text);

    for (int i = 0; i <= VMF_OFFER_ROWS_MAX; i++)
        g_string_append_printf(rows, "%s('r%d', 1, 1, 'off', '', [], {})", i ? ", " : "", i);
    g_string_append_c(rows, ']');
    assert_not_an_offer(rows->str, "too large");
    assert_not_an_offer(large, "too large");
}

static void
test_a_parameter_of_another_type_ends_the_talk(void **state)
{
    g_autoptr(VmfOffer) ours = vmf_offer_new(&small);
    g_autoptr(GVariant) wire = g_variant_parse(
        NULL, ROW "[('pack', 1, 1, 'offered', '', [], {'window': <'wide'>})]", NULL, NULL, NULL);
    g_autoptr(VmfOffer) theirs = vmf_offer_decode(wire, NULL);
    g_autoptr(GError) error = NULL;

    assert_null(vmf_agreement_new(&small, &terms, ours, theirs, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_PROTOCOL));
    assert_string_equal(error->message,
                        "the offer is not valid: 'window' of 'pack' is not of type t");
}

/* ---- this program's table ---- */

static void
test_the_table_holds_what_it_promises(void **state)
{
    const VmfFeatureTable *table = vmf_features();

    for (gsize i = 0; i < table->n; i++) {
        const VmfFeature *row = &table->rows[i];

        assert_ptr_equal(vmf_feature_find(table, row->name), row); /* no name twice */
        assert_true(vmf_feature_name_is_valid(row->name));
        assert_in_range(row->oldest, 1, row->newest);
        assert_int_equal(row->why != NULL, row->stand != VMF_STAND_OFFERED);
        assert_non_null(row->summary);
        for (const char *const *need = row->needs; *need; need++)
            assert_non_null(vmf_feature_find(table, *need));
        for (const VmfFeatureParameter *p = row->parameters; p->name; p++)
            assert_true(vmf_feature_name_is_valid(p->name) && p->since >= 1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_of_one_program_agree),
        cmocka_unit_test(test_bytes_are_as_written_down),
        cmocka_unit_test(test_the_digest_is_about_terms_and_offers),
        cmocka_unit_test(test_what_is_required_ends_the_talk),
        cmocka_unit_test(test_a_value_of_nothing_is_no_feature),
        cmocka_unit_test(test_a_future_peer_is_understood_as_far_as_it_goes),
        cmocka_unit_test(test_random_pairs_agree_on_what_both_have),
        cmocka_unit_test(test_offers_that_are_none_are_refused),
        cmocka_unit_test(test_offers_are_bounded),
        cmocka_unit_test(test_a_parameter_of_another_type_ends_the_talk),
        cmocka_unit_test(test_the_table_holds_what_it_promises),
    };

    return cmocka_run_group_tests_name("features", tests, NULL, NULL);
}
