/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Offers and agreements: by hand, and against a future peer. Random ones: test-agreements.c. */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "link/agreement.h"
#include "sent-offer.h"

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

/* zstd as it was before it had lanes. */
static const VmfFeature before_lanes_rows[] = {
    {.name = VMF_FEATURE_FRAMES, .oldest = 1, .newest = 1, .stand = VMF_STAND_OFFERED},
    {.name = VMF_FEATURE_ZSTD,
     .oldest = 1,
     .newest = 1,
     .stand = VMF_STAND_OFFERED,
     .needs = {VMF_FEATURE_FRAMES},
     .parameters = {{"level", VMF_COMBINE_SMALLER, 1, TRUE, 9},
                    {"window", VMF_COMBINE_SMALLER, 1, TRUE, 1 << 27}}},
};
static const VmfFeatureTable before_lanes = {before_lanes_rows, G_N_ELEMENTS(before_lanes_rows)};

/* What both sides of a pair of programs find of zstd, each by its own table. */
static void
assert_lanes(const VmfFeatureTable *at_source, const VmfFeatureTable *at_destination, guint version,
             guint64 lanes)
{
    g_autoptr(VmfOffer) source = vmf_offer_new(at_source);
    g_autoptr(VmfOffer) destination = vmf_offer_new(at_destination);
    g_autoptr(VmfOffer) heard_of_source = send_offer(source);
    g_autoptr(VmfOffer) heard_of_destination = send_offer(destination);
    g_autoptr(VmfAgreement) here =
        vmf_agreement_new(at_source, &terms, source, heard_of_destination, NULL);
    g_autoptr(VmfAgreement) there =
        vmf_agreement_new(at_destination, &terms, heard_of_source, destination, NULL);
    VmfAgreement *const sides[] = {here, there};

    for (guint i = 0; i < G_N_ELEMENTS(sides); i++) {
        assert_int_equal(vmf_agreement_get_version(sides[i], VMF_FEATURE_ZSTD), version);
        assert_int_equal(vmf_agreement_get_number(sides[i], VMF_FEATURE_ZSTD, "window"), 1 << 27);
        assert_int_equal(vmf_agreement_get_number(sides[i], VMF_FEATURE_ZSTD, "lanes"), lanes);
    }
    assert_memory_equal(vmf_agreement_get_digest(here), vmf_agreement_get_digest(there),
                        VMF_AGREEMENT_DIGEST_SIZE);
}

static void
test_lanes_are_for_those_who_know_them(void **state)
{
    assert_lanes(vmf_features(), vmf_features(), 2, 4);
    assert_lanes(&before_lanes, vmf_features(), 1, 0);
    assert_lanes(vmf_features(), &before_lanes, 1, 0);
}

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
        cmocka_unit_test(test_offers_that_are_none_are_refused),
        cmocka_unit_test(test_offers_are_bounded),
        cmocka_unit_test(test_a_parameter_of_another_type_ends_the_talk),
        cmocka_unit_test(test_lanes_are_for_those_who_know_them),
        cmocka_unit_test(test_the_table_holds_what_it_promises),
    };

    return cmocka_run_group_tests_name("features", tests, NULL, NULL);
}
