/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a source offers of migrations without a pump: what the emulator of the guest said when it
 * was asked, which here is a program of ours.
 */
#include "false-host.h"

#include <glib/gstdio.h>

#define UUID_BARE "aaaaaaaa-1111-4111-8111-111111111111"
#define UUID_BROKEN "aaaaaaaa-2222-4111-8111-111111111111"

typedef struct {
    VmfPair *pair; /* hostb does not run: it is us */
    VmfFalseHost *host;
} Fixture;

#define SAYS(answer) "read l; echo '{\"return\": " answer "}'; "
#define GREETS "echo '{\"QMP\": {\"version\": {}, \"capabilities\": []}}'; " SAYS("{}")
#define VERSION SAYS("{\"qemu\": {\"major\": 9, \"minor\": 1, \"micro\": 2}}")
#define CAPABILITIES(list) SAYS("[" list "]")
#define REST SAYS("{}") SAYS("[]") SAYS("[]") SAYS("[]") "exec sleep 100"

/* A program in the place of QEMU, which whoever QEMU is asked as can run. */
static char *
fake(Fixture *fixture, const char *name, const char *script)
{
    const char *directory = vmf_lab_get_directory(fixture->pair->lab);
    char *path = g_build_filename(directory, name, NULL);
    g_autofree char *text = g_strconcat("#!/bin/sh\n", script, "\n", NULL);

    assert_int_equal(g_chmod(directory, 0755), 0);
    assert_true(g_file_set_contents(path, text, -1, NULL));
    assert_int_equal(g_chmod(path, 0755), 0);
    return path;
}

static char *
guest(const char *name, const char *uuid, const char *emulator)
{
    return g_strdup_printf("<domain type='test'><name>%s</name><uuid>%s</uuid><memory>65536"
                           "</memory><os><type arch='i686'>hvm</type></os><devices><emulator>%s"
                           "</emulator></devices></domain>",
                           name, uuid, emulator);
}

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    g_autofree char *full = NULL, *bare = NULL, *broken = NULL;
    g_autofree char *one = NULL, *two = NULL, *three = NULL, *guests = NULL;
    static const char *const compressions[] = {"zlib", NULL};

    *state = fixture;
    fixture->pair = vmf_pair_new(NULL);
    full = fake(fixture, "full",
                GREETS VERSION CAPABILITIES("{\"capability\": \"xbzrle\"}, {\"capability\": "
                                            "\"multifd\"}") REST);
    bare = fake(fixture, "bare", GREETS VERSION CAPABILITIES("{\"capability\": \"xbzrle\"}") REST);
    broken = fake(fixture, "broken", "exit 1");
    one = guest("full", VMF_UUID_RUNNING, full);
    two = guest("bare", UUID_BARE, bare);
    three = guest("broken", UUID_BROKEN, broken);
    guests = g_strconcat("<node>", one, two, three, "</node>", NULL);
    vmf_host_set_guests(fixture->pair->a, guests);
    vmf_host_set(fixture->pair->a, "Security", "AllowUnencrypted", "true");
    fixture->host = vmf_false_host_new(fixture->pair->b, fixture->pair->a, NULL);
    fixture->host->offer = vmf_offer_new(vmf_features());
    vmf_offer_set_strings(fixture->host->offer, VMF_FEATURE_NATIVE_MULTIFD, "compressions",
                          compressions);
    vmf_host_start(fixture->pair->a);
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;
    gpointer pair = fixture->pair;

    vmf_false_host_free(fixture->host);
    g_free(fixture);
    return vmf_pair_tear_down(&pair);
}

/* How hosta stands to native-xbzrle and native-multifd when it talks about this guest. */
static void
assert_offered(Fixture *fixture, const char *name, VmfStand xbzrle, VmfStand multifd)
{
    g_autoptr(VmfBusMigration) migration = vmf_host_migrate(fixture->pair->a, name, "hostb");
    g_autoptr(GVariant) features = NULL;
    g_autoptr(VmfOffer) offer = NULL;
    g_autofree char *end = g_strconcat("/", name, NULL);
    const char *emulator = NULL;

    if (!fixture->host->link)
        vmf_false_host_accept(fixture->host);
    vmf_wait_property(migration, "state", "failed");
    assert_non_null(fixture->host->said);
    assert_true(g_variant_lookup(fixture->host->said, "emulator", "&s", &emulator));
    assert_true(g_str_has_suffix(emulator, end));
    features = g_variant_lookup_value(fixture->host->said, "features", NULL);
    offer = vmf_offer_decode(features, NULL);
    assert_non_null(offer);
    assert_int_equal(vmf_offer_find(offer, VMF_FEATURE_NATIVE_XBZRLE)->stand, xbzrle);
    assert_int_equal(vmf_offer_find(offer, VMF_FEATURE_NATIVE_MULTIFD)->stand, multifd);
}

static void
test_what_the_emulator_can(void **state)
{
    Fixture *fixture = *state;

    assert_offered(fixture, "full", VMF_STAND_OFFERED, VMF_STAND_OFFERED);
    assert_offered(fixture, "bare", VMF_STAND_OFFERED, VMF_STAND_OFF);
    assert_offered(fixture, "broken", VMF_STAND_OFF, VMF_STAND_OFF);
}

/* By name, and the hosts do not have it in common: nothing is asked of libvirt. */
static void
test_a_compression_that_is_not_agreed(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfBusMigration) migration = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    gboolean only_asked = FALSE;

    if (!vmf_bus_manager_call_migrate_sync(
            fixture->pair->a->manager, "full", "hostb",
            g_variant_new_parsed("{'engine': <'native'>, 'parallel': <uint32 2>, "
                                 "'native-compression': <'zstd'>}"),
            &path, NULL, &error))
        fail_msg("Migrate: %s", error->message);
    migration = vmf_host_get_migration(fixture->pair->a, path);
    vmf_false_host_accept(fixture->host);
    vmf_wait_property(migration, "state", "failed");
    vmf_assert_error_property(vmf_bus_migration_get_error(migration), "FeatureMissing",
                              "zstd over parallel connections");
    assert_int_equal(fixture->host->prepared, 0);
    assert_true(g_variant_lookup(fixture->host->said, "only-asked", "b", &only_asked));
    assert_true(only_asked);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_the_emulator_can),
        CASE(test_a_compression_that_is_not_agreed),
    };

    return cmocka_run_group_tests_name("bus-offers", tests, NULL, NULL);
}
