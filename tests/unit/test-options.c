/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "daemon/options.h"

#define PLAIN (VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER)

static const VmfRoute pumped = {.engine = VMF_ENGINE_PUMP};
static const VmfRoute native = {.engine = VMF_ENGINE_NATIVE, .method = VMF_METHOD_XBZRLE};

/* `text` is GVariant text of an a{sv}. */
static VmfOptions *
parse(const char *text, GError **error)
{
    g_autoptr(GVariant) dict = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL);

    assert_non_null(dict);
    return vmf_options_parse(dict, error);
}

static void
test_none(void **state)
{
    g_autoptr(VmfOptions) options = parse("{}", NULL);

    assert_non_null(options);
    assert_false(options->unencrypted);
    assert_int_equal(options->parallel, 0);
    assert_int_equal(options->bandwidth, 0);
    assert_int_equal(options->timeout, 0);
    assert_int_equal(options->downtime, VMF_DOWNTIME_BY_POLICY);
    assert_true(options->delta.on);
    assert_true(options->delta.cache == VMF_CACHE_DEFAULT);
    assert_int_equal(options->delta.compression, VMF_COMPRESSION_AUTO);
    assert_int_equal(options->on_timeout, VMF_ON_TIMEOUT_SUSPEND);
    assert_null(options->copy_storage);
    assert_null(options->dname);
    assert_null(options->xml);
    assert_int_equal(vmf_options_get_flags(options, &pumped), PLAIN);
}

static void
test_flags(void **state)
{
    const struct {
        const char *text;
        guint flags;
    } cases[] = {
        {"{'unencrypted': <true>}", PLAIN},
        {"{'parallel': <uint32 4>}", PLAIN | VIR_MIGRATE_PARALLEL},
        {"{'parallel': <uint32 0>}", PLAIN},
        {"{'postcopy': <true>}", PLAIN | VIR_MIGRATE_POSTCOPY},
        {"{'postcopy-after-precopy': <true>}", PLAIN | VIR_MIGRATE_POSTCOPY},
        {"{'postcopy-resume': <true>}", PLAIN | VIR_MIGRATE_POSTCOPY | VIR_MIGRATE_POSTCOPY_RESUME},
        {"{'persistent': <true>}", PLAIN | VIR_MIGRATE_PERSIST_DEST},
        {"{'undefine-source': <true>}", PLAIN | VIR_MIGRATE_UNDEFINE_SOURCE},
        {"{'undefine-source': <false>}", PLAIN},
        {"{'copy-storage': <'all'>}", PLAIN | VIR_MIGRATE_NON_SHARED_DISK},
        {"{'copy-storage': <'inc'>}", PLAIN | VIR_MIGRATE_NON_SHARED_INC},
        {"{'bandwidth': <uint32 5>}", PLAIN}, /* libvirt's own would bound what QEMU hands out */
        {"{'timeout': <uint32 5>, 'on-timeout': <'abort'>}", PLAIN},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmfOptions) options = parse(cases[i].text, NULL);

        if (!options)
            fail_msg("%s was refused", cases[i].text);
        if (vmf_options_get_flags(options, &pumped) != cases[i].flags)
            fail_msg("%s: flags 0x%x", cases[i].text, vmf_options_get_flags(options, &pumped));
    }
}

static void
test_refusals(void **state)
{
    g_autofree char *name = g_strnfill(256, 'x');
    g_autofree char *long_name = g_strdup_printf("{'dname': <'%s'>}", name);
    const struct {
        const char *text;
        VmfError code;
        const char *word;
    } cases[] = {
        {"{'speed': <1>}", VMF_ERROR_INVALID_ARGUMENT, "'speed'"},
        {"{'Postcopy': <true>}", VMF_ERROR_INVALID_ARGUMENT, "'Postcopy'"},
        {"{'unencrypted': <'yes'>}", VMF_ERROR_INVALID_ARGUMENT, "'unencrypted'"},
        {"{'bandwidth': <uint64 4>}", VMF_ERROR_INVALID_ARGUMENT, "'bandwidth'"},
        {"{'parallel': <4>}", VMF_ERROR_INVALID_ARGUMENT, "'parallel'"},
        {"{'parallel': <uint32 33>}", VMF_ERROR_INVALID_ARGUMENT, "at most 32"},
        {"{'copy-storage': <'some'>}", VMF_ERROR_INVALID_ARGUMENT, "copy-storage"},
        {"{'on-timeout': <'abort'>}", VMF_ERROR_INVALID_ARGUMENT, "needs a timeout"},
        {"{'timeout': <uint32 1>, 'on-timeout': <'wait'>}", VMF_ERROR_INVALID_ARGUMENT, "'wait'"},
        {"{'dname': <''>}", VMF_ERROR_INVALID_ARGUMENT, "dname"},
        {"{'dname': <'a/b'>}", VMF_ERROR_INVALID_ARGUMENT, "dname"},
        {long_name, VMF_ERROR_INVALID_ARGUMENT, "dname"},
        {"{'postcopy-resume': <true>, 'timeout': <uint32 2>}", VMF_ERROR_NOT_SUPPORTED, "resuming"},
        {"{'postcopy-resume': <true>, 'copy-storage': <'all'>}", VMF_ERROR_NOT_SUPPORTED,
         "resuming"},
        {"{'parallel': <uint32 2>, 'postcopy': <true>}", VMF_ERROR_NOT_SUPPORTED, "parallel"},
        {"{'parallel': <uint32 2>, 'verify': <true>}", VMF_ERROR_NOT_SUPPORTED, "not verified"},
        {"{'parallel': <uint32 2>, 'postcopy-after-precopy': <true>}", VMF_ERROR_NOT_SUPPORTED,
         "parallel"},
        {"{'copy-storage': <'all'>, 'postcopy': <true>}", VMF_ERROR_NOT_SUPPORTED, "storage"},
        {"{'native-compression': <'lzo'>}", VMF_ERROR_INVALID_ARGUMENT, "'lzo'"},
        {"{'native-compression': <'xbzrle'>}", VMF_ERROR_NOT_SUPPORTED, "engine native"},
        {"{'native-compression': <'xbzrle'>, 'engine': <'native'>, 'parallel': <uint32 2>}",
         VMF_ERROR_NOT_SUPPORTED, "XBZRLE"},
        {"{'native-compression': <'zlib'>, 'engine': <'native'>}", VMF_ERROR_NOT_SUPPORTED,
         "parallel"},
        {"{'timeout': <uint32 1>, 'on-timeout': <'postcopy'>}", VMF_ERROR_NOT_SUPPORTED,
         "postcopy"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfOptions) options = parse(cases[i].text, &error);

        if (options)
            fail_msg("%s was taken", cases[i].text);
        if (!g_error_matches(error, VMF_ERROR, (int)cases[i].code) ||
            !strstr(error->message, cases[i].word))
            fail_msg("%s: '%s' (%d)", cases[i].text, error->message, error->code);
    }
}

static void
test_timeouts(void **state)
{
    const struct {
        const char *text;
        VmfOnTimeout expected;
    } cases[] = {
        {"{'timeout': <uint32 7>}", VMF_ON_TIMEOUT_SUSPEND},
        {"{'timeout': <uint32 7>, 'on-timeout': <'suspend'>}", VMF_ON_TIMEOUT_SUSPEND},
        {"{'timeout': <uint32 7>, 'on-timeout': <'abort'>}", VMF_ON_TIMEOUT_ABORT},
        {"{'timeout': <uint32 7>, 'on-timeout': <'postcopy'>, 'postcopy': <true>}",
         VMF_ON_TIMEOUT_POSTCOPY},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmfOptions) options = parse(cases[i].text, NULL);

        assert_int_equal(options->timeout, 7);
        assert_int_equal(options->on_timeout, cases[i].expected);
    }
}

/* The value of a string parameter, or NULL. */
static const char *
parameter(virTypedParameterPtr params, int n, const char *name)
{
    const char *value = NULL;

    virTypedParamsGetString(params, n, name, &value);
    return value;
}

/* What nobody asks for, but a policy or the plan says. */
static void
test_of_the_policy(void **state)
{
    g_autoptr(VmfOptions) options = parse("{'bandwidth': <uint32 20>}", NULL);
    virTypedParameterPtr params = NULL;
    unsigned long long value = 0;
    int n = 0;

    options->throttle = TRUE;
    options->qemu_cache = 256 << 20;
    assert_int_equal(vmf_options_get_flags(options, &pumped), PLAIN | VIR_MIGRATE_AUTO_CONVERGE);
    assert_true(vmf_options_get_params(options, &native, &params, &n));
    virTypedParamsGetULLong(params, n, VIR_MIGRATE_PARAM_COMPRESSION_XBZRLE_CACHE, &value);
    assert_int_equal(value, 256 << 20);
    virTypedParamsGetULLong(params, n, VIR_MIGRATE_PARAM_BANDWIDTH, &value);
    assert_int_equal(value, 20);
    virTypedParamsFree(params, n);
    assert_true(vmf_options_get_params(options, &pumped, &params, &n));
    assert_int_equal(n, 0); /* the pump keeps to the bound */
    virTypedParamsFree(params, n);
}

static void
test_parameters(void **state)
{
    g_autoptr(VmfOptions) plain = parse("{}", NULL);
    g_autoptr(VmfOptions) all =
        parse("{'copy-storage': <'all'>, 'dname': <'other'>, 'xml': <'<domain/>'>,"
              " 'persistent': <true>, 'parallel': <uint32 3>}",
              NULL);
    const VmfRoute uris = {.engine = VMF_ENGINE_PUMP, .uri = "unix:///a", .disks_uri = "unix:///b"};
    const VmfRoute outside = {.engine = VMF_ENGINE_ONE_SIDED,
                              .uri = "tcp://127.77.0.1:49200",
                              .listen_address = "192.0.2.7"};
    virTypedParameterPtr params = NULL;
    unsigned long long cache = 0;
    int connections = 0;
    int n = 0;

    assert_true(vmf_options_get_params(plain, &outside, &params, &n));
    assert_int_equal(n, 2);
    assert_string_equal(parameter(params, n, VIR_MIGRATE_PARAM_URI), "tcp://127.77.0.1:49200");
    assert_string_equal(parameter(params, n, VIR_MIGRATE_PARAM_LISTEN_ADDRESS), "192.0.2.7");
    virTypedParamsFree(params, n);

    assert_true(vmf_options_get_params(plain, &native, &params, &n));
    assert_int_equal(n, 2);
    assert_string_equal(parameter(params, n, VIR_MIGRATE_PARAM_COMPRESSION), "xbzrle");
    virTypedParamsGetULLong(params, n, VIR_MIGRATE_PARAM_COMPRESSION_XBZRLE_CACHE, &cache);
    assert_int_equal(cache, VMF_NATIVE_CACHE);
    assert_int_equal(vmf_options_get_flags(plain, &native), PLAIN | VIR_MIGRATE_COMPRESSED);
    virTypedParamsFree(params, n);

    assert_true(vmf_options_get_params(plain, &uris, &params, &n));
    assert_int_equal(n, 1);
    assert_string_equal(parameter(params, n, VIR_MIGRATE_PARAM_URI), "unix:///a");
    virTypedParamsFree(params, n);

    assert_true(vmf_options_get_params(all, &uris, &params, &n));
    assert_int_equal(n, 6);
    assert_string_equal(parameter(params, n, VIR_MIGRATE_PARAM_DISKS_URI), "unix:///b");
    assert_string_equal(parameter(params, n, VIR_MIGRATE_PARAM_DEST_NAME), "other");
    assert_string_equal(parameter(params, n, VIR_MIGRATE_PARAM_DEST_XML), "<domain/>");
    assert_string_equal(parameter(params, n, VIR_MIGRATE_PARAM_PERSIST_XML), "<domain/>");
    virTypedParamsGetInt(params, n, VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, &connections);
    assert_int_equal(connections, 3);
    virTypedParamsFree(params, n);
}

/* Parallel connections that QEMU compresses by itself. */
static void
test_native_compressions(void **state)
{
    const struct {
        const char *text;
        VmfNativeMethod method;
        guint flags; /* besides the usual ones */
        const char *name;
        const char *level_of;
        int level; /* 0: libvirt's default */
    } cases[] = {
        {"{'parallel': <uint32 2>}", VMF_METHOD_NONE, 0, NULL, "compression.zstd.level", 0},
        {"{'parallel': <uint32 2>}", VMF_METHOD_ZSTD, VIR_MIGRATE_COMPRESSED, "zstd",
         "compression.zstd.level", 0},
        {"{'parallel': <uint32 2>, 'compression': <15>}", VMF_METHOD_ZSTD, VIR_MIGRATE_COMPRESSED,
         "zstd", "compression.zstd.level", 15},
        {"{'parallel': <uint32 2>, 'compression': <15>}", VMF_METHOD_ZLIB, VIR_MIGRATE_COMPRESSED,
         "zlib", "compression.zlib.level", 9},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmfOptions) options = parse(cases[i].text, NULL);
        const VmfRoute route = {.engine = VMF_ENGINE_NATIVE, .method = cases[i].method};
        virTypedParameterPtr params = NULL;
        const char *name;
        int level = 0;
        int n = 0;

        assert_int_equal(vmf_options_get_flags(options, &route),
                         PLAIN | VIR_MIGRATE_PARALLEL | cases[i].flags);
        assert_true(vmf_options_get_params(options, &route, &params, &n));
        name = parameter(params, n, VIR_MIGRATE_PARAM_COMPRESSION);
        assert_true(g_strcmp0(name, cases[i].name) == 0);
        virTypedParamsGetInt(params, n, cases[i].level_of, &level);
        assert_int_equal(level, cases[i].level);
        virTypedParamsFree(params, n);
    }
}

/* What is taken must do something. */
static void
test_no_option_is_ignored(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfOptions) options = parse("{'bandwidth': <uint64 1>}", &error);

    assert_null(options);
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT));
}

/* Its errors are per thread and need it; the daemon's first connection does it. */
static int
initialize_libvirt(void **state)
{
    return virInitialize();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_of_the_policy),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_native_compressions),
        cmocka_unit_test(test_no_option_is_ignored),
    };

    return cmocka_run_group_tests_name("options", tests, initialize_libvirt, NULL);
}
