/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The talk before a migration, with a destination that is trusted and should not be: it lies,
 * answers late, or as it did before. Each has its error, and nothing is started. Sources of that
 * kind: test-talk.c.
 */
#include "false-host.h"

typedef enum {
    LIE_NO_OFFER,
    LIE_BAD_OFFER,
    LIE_OTHER_NAME,
    LIE_DIGEST,
    LIE_OLD_ANSWER,
    LIE_REQUIRES,
    LIE_SILENT,
} Lie;

typedef struct {
    VmfPair *pair; /* hostb does not run: it is us */
    VmfFalseHost *host;
    Lie lie;
    GVariant *old; /* an answer that was right once */
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    *state = fixture;
    fixture->pair = vmf_pair_new(NULL);
    fixture->host = vmf_false_host_new(fixture->pair->b, fixture->pair->a, NULL);
    vmf_host_start(fixture->pair->a);
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;
    gpointer pair = fixture->pair;

    vmf_false_host_free(fixture->host);
    g_clear_pointer(&fixture->old, g_variant_unref);
    vmf_host_assert_clean(fixture->pair->a);
    g_free(fixture);
    return vmf_pair_tear_down(&pair);
}

static GVariant *
spoil(GVariant *answer, const char *key, GVariant *value)
{
    GVariantDict dict;

    g_variant_dict_init(&dict, answer);
    if (value)
        g_variant_dict_insert_value(&dict, key, value);
    else
        g_variant_dict_remove(&dict, key);
    g_variant_unref(answer);
    return g_variant_ref_sink(g_variant_dict_end(&dict));
}

static GVariant *
lie_about(Fixture *fixture, GVariant *answer)
{
    const guint8 wrong[VMF_AGREEMENT_DIGEST_SIZE] = {1, 2, 3};

    switch (fixture->lie) {
    case LIE_NO_OFFER:
        return spoil(answer, "features", NULL);
    case LIE_BAD_OFFER:
        return spoil(answer, "features", g_variant_new_string("all of them"));
    case LIE_DIGEST:
        return spoil(answer, "digest",
                     g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, wrong, sizeof wrong, 1));
    case LIE_OLD_ANSWER:
        if (!fixture->old) {
            fixture->old = g_variant_ref(answer);
            return answer;
        }
        g_variant_unref(answer);
        return g_variant_ref(fixture->old);
    default:
        return answer;
    }
}

static GVariant *
answer(VmfFalseHost *host, const char *id, GVariant *said, gpointer data)
{
    Fixture *fixture = data;
    const char *source = fixture->lie == LIE_OTHER_NAME ? "hostc" : "hosta";
    g_autoptr(VmfOffer) offer = vmf_offer_new(vmf_features());

    if (fixture->lie == LIE_SILENT)
        return NULL;
    if (fixture->lie == LIE_REQUIRES)
        vmf_offer_require(offer, VMF_FEATURE_NBD, "no guest without its disks");
    return lie_about(fixture, vmf_false_host_answer(host, id, said, source, offer));
}

/* `words`: of the error's message, or NULL. */
static void
assert_lie_found(Fixture *fixture, Lie lie, const char *name, const char *words)
{
    g_autoptr(VmfBusMigration) migration = NULL;

    fixture->lie = lie;
    migration = vmf_host_migrate(fixture->pair->a, "running", "hostb");
    if (!fixture->host->link)
        vmf_false_host_accept(fixture->host);
    vmf_wait_property(migration, "state", "failed");
    vmf_assert_error_property(vmf_bus_migration_get_error(migration), name, words);
}

static void
test_destinations_that_lie(void **state)
{
    Fixture *fixture = *state;
    VmfFalseHost *host = fixture->host;

    host->answer = answer;
    host->data = fixture;
    assert_lie_found(fixture, LIE_NO_OFFER, "Protocol", "answered without an offer");
    assert_lie_found(fixture, LIE_BAD_OFFER, "Protocol", "the offer is not valid");
    assert_lie_found(fixture, LIE_OTHER_NAME, "PeerNameMismatch", "calls this host");
    assert_lie_found(fixture, LIE_DIGEST, "Protocol", "another agreement");
    assert_lie_found(fixture, LIE_REQUIRES, "FeatureMissing",
                     "feature 'nbd' is required by hostb (no guest without its disks)");
    assert_int_equal(host->prepared, 0);
    assert_lie_found(fixture, LIE_OLD_ANSWER, "DomainExists", NULL); /* the first one is right */
    assert_int_equal(host->prepared, 1);
    assert_lie_found(fixture, LIE_OLD_ANSWER, "Protocol", "another agreement");
    assert_lie_found(fixture, LIE_SILENT, "TimedOut", NULL);
    assert_int_equal(host->prepared, 1);
    g_dbus_method_invocation_return_dbus_error(host->unanswered, "org.vmferry1.Error.Failed",
                                               "late");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_destinations_that_lie),
    };

    return cmocka_run_group_tests_name("bus-answers", tests, NULL, NULL);
}
