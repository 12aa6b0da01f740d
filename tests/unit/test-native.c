/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What two hosts agree on of migrations without a pump, from what their emulators and libvirts said
 * when they were asked; and how such a migration then goes. */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "daemon/host-offer.h"
#include "daemon/native-method.h"
#include "probe/emulator-answers.h"
#include "probe/judge.h"
#include "probe/qmp.h"

/* ---- what an emulator and a libvirt say ---- */

#define SCHEMA(values)                                                                             \
    "{\"return\": [{\"name\": \"query-migrate-parameters\", \"ret-type\": \"7\"}, {\"name\": "     \
    "\"7\", \"members\": [{\"name\": \"multifd-channels\", \"type\": \"int\"}, {\"name\": "        \
    "\"multifd-compression\", \"type\": \"8\"}]}, {\"name\": \"8\", \"members\": [" values "]}]}"
#define NONE "{\"name\": \"none\"}"
#define ZLIB "{\"name\": \"zlib\"}"
#define ZSTD "{\"name\": \"zstd\"}"

static const char *const both[] = {"xbzrle", "multifd", NULL};
static const char *const only_xbzrle[] = {"events", "xbzrle", NULL};
static const char *const old_libvirt[] = {NULL};
static const char *const new_libvirt[] = {"compression.zlib.level", "compression.zstd.level", NULL};

static VmfNative
host(const char *const *capabilities, const char *schema, const char *const *libvirt)
{
    g_autoptr(JsonNode) answer = vmf_qmp_parse(schema, strlen(schema), NULL);
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_autoptr(GVariant) facts = NULL;
    g_autoptr(VmfEmulator) emulator = NULL;
    VmfNative native;

    assert_true(vmf_answer_schema(answer, &dict, NULL));
    g_variant_dict_insert(&dict, "path", "s", "/emulator");
    g_variant_dict_insert(&dict, "capabilities", "^as", capabilities);
    facts = g_variant_ref_sink(g_variant_dict_end(&dict));
    emulator = vmf_emulator_from_variant(facts);
    vmf_native_find(emulator, libvirt, &native);
    return native;
}

static VmfNative
debian_12(void)
{
    return host(both, SCHEMA(NONE ", " ZLIB ", " ZSTD), old_libvirt);
}

static VmfNative
debian_13(void)
{
    return host(both, SCHEMA(NONE ", " ZLIB ", " ZSTD ", {\"name\": \"qpl\"}"), new_libvirt);
}

static VmfNative
without_zstd(void)
{
    return host(both, SCHEMA(NONE ", " ZLIB), new_libvirt);
}

static VmfNative
without_multifd(void)
{
    return host(only_xbzrle, SCHEMA(NONE ", " ZLIB ", " ZSTD), new_libvirt);
}

static VmfNative
broken(void)
{
    g_autoptr(GVariant) facts = g_variant_ref_sink(
        g_variant_new_parsed("@a{sv} {'path': <'/e'>, 'problem': <'exited'>, 'capabilities': "
                             "<['xbzrle', 'multifd']>}"));
    g_autoptr(VmfEmulator) emulator = vmf_emulator_from_variant(facts);
    VmfNative native;

    vmf_native_find(emulator, new_libvirt, &native);
    return native;
}

static void
test_what_a_host_can(void **state)
{
    const VmfNative cases[] = {debian_12(), debian_13(), without_zstd(), without_multifd(),
                               broken()};
    const guint compressions[] = {0, VMF_NATIVE_ZSTD | VMF_NATIVE_ZLIB, VMF_NATIVE_ZLIB, 0, 0};
    static const char *const formats[] = {
        "with XBZRLE, or over parallel connections without compression",
        "with XBZRLE, or over parallel connections with zstd or zlib",
        "with XBZRLE, or over parallel connections with zlib", "with XBZRLE", NULL};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *format = vmf_native_format(&cases[i]);

        assert_int_equal(cases[i].compressions, compressions[i]);
        assert_true(g_strcmp0(format, formats[i]) == 0);
    }
}

/* A schema of another form is one without compressions; no schema is nonsense. */
static void
test_schemas_that_are_not(void **state)
{
    static const char *const cases[] = {
        "{\"return\": []}",
        "{\"return\": [{\"name\": \"query-migrate-parameters\"}]}",
        "{\"return\": [{\"name\": \"query-migrate-parameters\", \"ret-type\": \"7\"}, {\"name\": "
        "\"7\", \"members\": [7]}]}",
        SCHEMA("\"zstd\""),
        SCHEMA("{\"name\": 3}"),
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_int_equal(host(both, cases[i], new_libvirt).compressions, 0);
    for (guint i = 0; i < 2; i++) {
        const char *line = i ? "{\"return\": {}}" : "{\"return\": [1]}";
        g_autoptr(JsonNode) answer = vmf_qmp_parse(line, strlen(line), NULL);
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        g_autoptr(GError) error = NULL;

        assert_false(vmf_answer_schema(answer, &dict, &error));
        assert_true(g_error_matches(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_GARBAGE));
    }
}

static void
test_what_a_check_says(void **state)
{
    const VmfNative here = debian_13();
    const VmfNative there = without_zstd();
    const VmfNative none = broken();
    g_autoptr(GPtrArray) concerns = vmf_concerns_new();
    g_autoptr(GPtrArray) others = vmf_concerns_new();
    const VmfConcern *concern;

    vmf_judge_native(concerns, &here, &there);
    assert_int_equal(concerns->len, 1);
    concern = concerns->pdata[0];
    assert_string_equal(concern->name, "native");
    assert_int_equal(concern->severity, VMF_SEVERITY_INFO);
    assert_non_null(strstr(concern->message, "parallel connections with zlib"));
    vmf_judge_native(others, &here, &none);
    assert_non_null(strstr(((VmfConcern *)others->pdata[0])->message, "only as it is"));
}

/* ---- what two of them agree on ---- */

static char config_pump_user[] = "nobody";
static const VmfConfig config = {.allow_unencrypted = TRUE, .pump_user = config_pump_user};
static char there_name[] = "there";
static char there_uri[] = "qemu+tcp://there/system";
static const VmfPeerConfig peer = {.name = there_name, .libvirt_uri = there_uri};

static VmfAgreement *
agree(const VmfOptions *options, const VmfNative *here, const VmfNative *there)
{
    const VmfAgreementTerms terms = {"01234567", "here", "there", 1};
    g_autoptr(VmfOffer) ours = vmf_host_offer_new_outgoing(&config, &peer, options, here);
    g_autoptr(VmfOffer) theirs = vmf_host_offer_new_incoming(&config, &peer, NULL, there);
    g_autoptr(GError) error = NULL;
    VmfAgreement *agreement = vmf_agreement_new(vmf_features(), &terms, ours, theirs, &error);

    if (!agreement)
        fail_msg("%s", error->message);
    return agreement;
}

/* Compressions as "zstd zlib", or NULL: not even parallel connections. */
static void
assert_agreed(const VmfNative *here, const VmfNative *there, gboolean xbzrle,
              const char *compressions)
{
    const VmfOptions options = {.engine = VMF_ENGINE_NATIVE, .parallel = 3};
    g_autoptr(VmfAgreement) agreement = agree(&options, here, there);
    g_auto(GStrv) names =
        vmf_agreement_get_strings(agreement, VMF_FEATURE_NATIVE_MULTIFD, "compressions");
    g_autofree char *list = names ? g_strjoinv(" ", names) : g_strdup("");

    assert_int_equal(vmf_agreement_has(agreement, VMF_FEATURE_NATIVE_XBZRLE), xbzrle);
    assert_int_equal(vmf_agreement_has(agreement, VMF_FEATURE_NATIVE_MULTIFD),
                     compressions != NULL);
    if (!compressions)
        return;
    assert_string_equal(list, compressions);
    assert_int_equal(vmf_agreement_get_number(agreement, VMF_FEATURE_NATIVE_MULTIFD, "connections"),
                     3);
}

static void
test_agreements(void **state)
{
    const VmfNative bookworm = debian_12(), trixie = debian_13(), no_zstd = without_zstd(),
                    no_multifd = without_multifd(), none = broken();

    assert_agreed(&bookworm, &trixie, TRUE, "");
    assert_agreed(&trixie, &bookworm, TRUE, "");
    assert_agreed(&trixie, &trixie, TRUE, "zstd zlib");
    assert_agreed(&trixie, &no_zstd, TRUE, "zlib");
    assert_agreed(&no_zstd, &trixie, TRUE, "zlib");
    assert_agreed(&trixie, &no_multifd, TRUE, NULL);
    assert_agreed(&none, &trixie, FALSE, NULL);
    /* not known: nothing is ruled out, and nothing promised */
    assert_agreed(NULL, &trixie, TRUE, "");
    assert_agreed(&trixie, NULL, TRUE, "");
}

/* ---- how a migration goes ---- */

typedef struct {
    VmfOptions options;
    const VmfNative *here, *there; /* `there` NULL: no agreement */
    VmfNativeMethod method;        /* AUTO: refused */
    const char *words;             /* of the reason or the error */
} Case;

static void
check(const Case *c)
{
    g_autoptr(VmfAgreement) agreement = c->there ? agree(&c->options, c->here, c->there) : NULL;
    const VmfMethodFacts facts = {&c->options, c->here, agreement, "there"};
    VmfNativeMethod method = VMF_METHOD_AUTO;
    g_autofree char *reason = NULL;
    g_autoptr(GError) error = NULL;

    if (vmf_native_method_choose(&facts, &method, &reason, &error))
        assert_null(error);
    else
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_FEATURE_MISSING));
    assert_int_equal(method, c->method);
    if (!strstr(error ? error->message : reason, c->words))
        fail_msg("'%s' is not in '%s'", c->words, error ? error->message : reason);
}

#define ASKS(...)                                                                                  \
    {                                                                                              \
        .engine = VMF_ENGINE_NATIVE, .delta = {TRUE, 1, VMF_COMPRESSION_AUTO}, __VA_ARGS__         \
    }

static void
test_methods(void **state)
{
    const VmfNative bookworm = debian_12(), trixie = debian_13(), no_zstd = without_zstd(),
                    no_multifd = without_multifd(), none = broken();
    const Case cases[] = {
        {ASKS(.parallel = 0), &trixie, &trixie, VMF_METHOD_XBZRLE, "in one stream with xbzrle, as"},
        {ASKS(.parallel = 0), &trixie, &none, VMF_METHOD_NONE, "none in common"},
        {ASKS(.parallel = 0), NULL, NULL, VMF_METHOD_XBZRLE, "with xbzrle"},
        {ASKS(.parallel = 2), &trixie, &trixie, VMF_METHOD_ZSTD, "connections with zstd, as both"},
        {ASKS(.parallel = 2), &trixie, &no_zstd, VMF_METHOD_NONE, "none in common"},
        {ASKS(.parallel = 2), &bookworm, &trixie, VMF_METHOD_NONE, "none in common"},
        {ASKS(.parallel = 2), &trixie, NULL, VMF_METHOD_NONE, "did not say"},
        {ASKS(.parallel = 2), &trixie, &no_multifd, VMF_METHOD_AUTO, "leave parallel out"},
        {ASKS(.parallel = 2), &no_multifd, &trixie, VMF_METHOD_AUTO, "leave parallel out"},
        /* by name */
        {ASKS(.parallel = 2, .method = VMF_METHOD_ZLIB), &trixie, &no_zstd, VMF_METHOD_ZLIB,
         "with zlib, as both"},
        {ASKS(.parallel = 2, .method = VMF_METHOD_ZSTD), &trixie, &no_zstd, VMF_METHOD_AUTO,
         "libvirt of there"},
        {ASKS(.parallel = 2, .method = VMF_METHOD_ZSTD), &bookworm, &trixie, VMF_METHOD_AUTO,
         "libvirt of this host"},
        {ASKS(.parallel = 2, .method = VMF_METHOD_ZSTD), &bookworm, NULL, VMF_METHOD_AUTO,
         "libvirt of this host"},
        {ASKS(.parallel = 2, .method = VMF_METHOD_ZSTD), &trixie, NULL, VMF_METHOD_ZSTD, "zstd"},
        {ASKS(.parallel = 2, .method = VMF_METHOD_NONE), &trixie, &trixie, VMF_METHOD_NONE,
         "without compression"},
        {ASKS(.parallel = 0, .method = VMF_METHOD_XBZRLE), &trixie, &none, VMF_METHOD_AUTO,
         "QEMU of there"},
        /* by what is said of deltas and compression in general */
        {{.engine = VMF_ENGINE_NATIVE, .delta = {TRUE, 0, VMF_COMPRESSION_AUTO}},
         &trixie,
         &trixie,
         VMF_METHOD_NONE,
         "without"},
        {{.engine = VMF_ENGINE_NATIVE, .delta = {FALSE, 1, VMF_COMPRESSION_AUTO}},
         &trixie,
         &trixie,
         VMF_METHOD_NONE,
         "without"},
        {{.engine = VMF_ENGINE_NATIVE, .parallel = 2, .delta = {TRUE, 0, 0}},
         &trixie,
         &trixie,
         VMF_METHOD_NONE,
         "without"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        check(&cases[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_host_can),   cmocka_unit_test(test_schemas_that_are_not),
        cmocka_unit_test(test_what_a_check_says), cmocka_unit_test(test_agreements),
        cmocka_unit_test(test_methods),
    };

    return cmocka_run_group_tests_name("native", tests, NULL, NULL);
}
