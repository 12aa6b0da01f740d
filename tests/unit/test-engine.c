/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "daemon/engine.h"

static VmfConfig strict = {.allow_unencrypted = FALSE};
static VmfConfig lax = {.allow_unencrypted = TRUE};
static char there[] = "there";
static char over_tcp[] = "qemu+tcp://there/system";
static char through_pump[] = VMF_LIBVIRT_THROUGH_PUMP;
static VmfPeerConfig tcp = {.name = there, .libvirt_uri = over_tcp};
static VmfPeerConfig pumped = {.name = there, .libvirt_uri = through_pump};

typedef struct {
    const VmfConfig *config;
    const VmfPeerConfig *peer;
    VmfOptions options;
    int talk; /* an error's code, or -1: agreed */
    VmfEngine engine;
    const char *reason; /* words of it, or of the error if that is what is expected: */
    int error;          /* or -1 */
} Case;

static void
check(const Case *c)
{
    g_autoptr(GError) talk =
        c->talk < 0 ? NULL : g_error_new_literal(VMF_ERROR, c->talk, "cannot reach there");
    g_autoptr(GError) error = NULL;
    g_autofree char *reason = NULL;
    VmfEngine engine = VMF_ENGINE_AUTO;
    gboolean chosen =
        vmf_engine_choose(c->config, c->peer, &c->options, talk, &engine, &reason, &error);

    assert_int_equal(chosen, c->error < 0);
    assert_non_null(strstr(chosen ? reason : error->message, c->reason));
    if (chosen)
        assert_int_equal(engine, c->engine);
    else
        assert_true(g_error_matches(error, VMF_ERROR, c->error));
}

#define AWAY VMF_ERROR_PEER_UNREACHABLE

static void
check_all(const Case *cases, gsize n)
{
    for (gsize i = 0; i < n; i++)
        check(&cases[i]);
}

static void
test_a_peer_that_answers(void **state)
{
    const Case cases[] = {
        {&strict, &tcp, {0}, -1, VMF_ENGINE_PUMP, "both hosts run vmferryd", -1},
        {&lax, &tcp, {.unencrypted = TRUE}, -1, VMF_ENGINE_PUMP, "both hosts run vmferryd", -1},
        {&strict, &tcp, {.engine = VMF_ENGINE_PUMP}, -1, VMF_ENGINE_PUMP, "asked for", -1},
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

/* Only in the clear, and only if that is wanted and allowed. */
static void
test_nobody_there(void **state)
{
    static char all[] = "all";
    const Case cases[] = {
        {&strict, &tcp, {0}, AWAY, 0, "cannot reach there", AWAY},
        {&lax, &tcp, {0}, AWAY, 0, "unencrypted", AWAY},
        {&lax, &tcp, {.engine = VMF_ENGINE_PUMP, .unencrypted = TRUE}, AWAY, 0, "cannot", AWAY},
        {&lax, &tcp, {.unencrypted = TRUE}, AWAY, VMF_ENGINE_ONE_SIDED, "cannot reach there", -1},
        {&lax, &tcp, {.unencrypted = TRUE, .copy_storage = all}, AWAY, VMF_ENGINE_NATIVE, "", -1},
        {&lax, &pumped, {.unencrypted = TRUE}, AWAY, 0, "cannot reach there", AWAY},
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

/* Who is there is not gone around. */
static void
test_a_peer_that_says_no(void **state)
{
    const Case cases[] = {
        {&lax,
         &tcp,
         {.unencrypted = TRUE},
         VMF_ERROR_PEER_UNTRUSTED,
         0,
         "",
         VMF_ERROR_PEER_UNTRUSTED},
        {&lax,
         &tcp,
         {.unencrypted = TRUE},
         VMF_ERROR_FEATURE_MISSING,
         0,
         "",
         VMF_ERROR_FEATURE_MISSING},
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

static void
test_plan_and_policy(void **state)
{
    const Case cases[] = {
        {&lax, &tcp, {.planned = VMF_ENGINE_PLAIN}, -1, VMF_ENGINE_PLAIN, "planned", -1},
        {&lax,
         &tcp,
         {.unencrypted = TRUE, .barred = VMF_ENGINES_ONE_SIDED | VMF_ENGINES_NATIVE},
         AWAY,
         VMF_ENGINE_PLAIN,
         "cannot reach there",
         -1},
        {&lax, &tcp, {.unencrypted = TRUE, .barred = VMF_ENGINES_ALL}, AWAY, 0, "", AWAY},
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

static void
test_by_name(void **state)
{
    static char all[] = "all";
    const Case cases[] = {
        {&lax, &tcp, {.engine = VMF_ENGINE_PLAIN}, AWAY, VMF_ENGINE_PLAIN, "asked for", -1},
        {&lax, &tcp, {.engine = VMF_ENGINE_NATIVE}, -1, VMF_ENGINE_NATIVE, "asked for", -1},
        {&strict,
         &tcp,
         {.engine = VMF_ENGINE_PLAIN},
         -1,
         0,
         "AllowUnencrypted",
         VMF_ERROR_NOT_SUPPORTED},
        {&lax,
         &pumped,
         {.engine = VMF_ENGINE_ONE_SIDED},
         -1,
         0,
         "LibvirtUri",
         VMF_ERROR_NOT_SUPPORTED},
        {&lax,
         &tcp,
         {.engine = VMF_ENGINE_ONE_SIDED, .copy_storage = all},
         -1,
         0,
         "disks",
         VMF_ERROR_NOT_SUPPORTED},
        {&lax,
         &tcp,
         {.engine = VMF_ENGINE_NATIVE, .postcopy = TRUE},
         -1,
         0,
         "post-copy",
         VMF_ERROR_NOT_SUPPORTED},
        {&lax,
         &tcp,
         {.engine = VMF_ENGINE_NATIVE, .verify = TRUE},
         -1,
         0,
         "only two pumps",
         VMF_ERROR_NOT_SUPPORTED},
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

static void
test_what_is_possible(void **state)
{
    static char all[] = "all";
    const VmfOptions clear = {.unencrypted = TRUE};
    const VmfOptions disks = {.unencrypted = TRUE, .copy_storage = all};
    const VmfOptions native = {.engine = VMF_ENGINE_NATIVE};

    assert_int_equal(vmf_engine_get_possible(&lax, &tcp, &(VmfOptions){0}), VMF_ENGINES_PUMP);
    assert_int_equal(vmf_engine_get_possible(&strict, &tcp, &clear), VMF_ENGINES_PUMP);
    assert_int_equal(vmf_engine_get_possible(&lax, &tcp, &clear), VMF_ENGINES_ALL);
    assert_int_equal(vmf_engine_get_possible(&lax, &tcp, &disks),
                     VMF_ENGINES_ALL & ~VMF_ENGINES_ONE_SIDED);
    assert_int_equal(vmf_engine_get_possible(&lax, &tcp, &native), VMF_ENGINES_NATIVE);
}

static void
test_names(void **state)
{
    VmfEngine engine;

    for (int i = VMF_ENGINE_AUTO; i <= VMF_ENGINE_PLAIN; i++) {
        assert_true(vmf_engine_from_name(vmf_engine_name((VmfEngine)i), &engine));
        assert_int_equal(engine, i);
    }
    assert_false(vmf_engine_from_name("steam", &engine));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_peer_that_answers),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_a_peer_that_says_no),
        cmocka_unit_test(test_plan_and_policy),
        cmocka_unit_test(test_by_name),
        cmocka_unit_test(test_what_is_possible),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
