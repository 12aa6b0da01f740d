/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Emulators that answer, and such as do everything but that; the cache. */
#include "cmocka-all.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "probe/cache.h"
#include "probe/prober.h"
#include "probe/qmp.h"
#include "valgrind.h"

#define QEMU "/usr/bin/qemu-system-x86_64"
#define USER "nobody"

typedef struct {
    char *directory;
    char *cache;
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    signal(SIGPIPE, SIG_IGN);
    fixture->directory = g_dir_make_tmp("vmf-probe-XXXXXX", NULL);
    assert_int_equal(g_chmod(fixture->directory, 0755), 0);
    fixture->cache = g_build_filename(fixture->directory, "cache", NULL);
    *state = fixture;
    return 0;
}

static void
remove_files(const char *path)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

    for (const char *name; directory && (name = g_dir_read_name(directory));) {
        g_autofree char *below = g_build_filename(path, name, NULL);

        remove_files(below);
    }
    (void)g_remove(path);
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    remove_files(fixture->directory);
    g_free(fixture->cache);
    g_free(fixture->directory);
    g_free(fixture);
    return 0;
}

/* A program of ours in the place of an emulator. */
static char *
fake(Fixture *fixture, const char *name, const char *script)
{
    char *path = g_build_filename(fixture->directory, name, NULL);
    g_autofree char *text = g_strconcat("#!/bin/sh\n", script, "\n", NULL);

    assert_true(g_file_set_contents(path, text, -1, NULL));
    assert_int_equal(g_chmod(path, 0755), 0);
    return path;
}

/* ---- emulators ---- */

static void
test_run_real(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfProber) prober = vmf_prober_new(fixture->cache, USER);
    g_autoptr(VmfEmulator) emulator = vmf_prober_get_emulator(prober, QEMU);
    const VmfMachine *machine;

    if (emulator->problem)
        fail_msg("%s: %s", emulator->problem, emulator->message);
    assert_true(emulator->version >= 7002000);
    assert_true(g_strv_contains((const char *const *)emulator->capabilities, "xbzrle"));
    assert_true(g_strv_contains((const char *const *)emulator->parameters, "downtime-limit"));
    assert_true(g_strv_contains((const char *const *)emulator->compressions, "none"));
    assert_true(g_strv_contains((const char *const *)emulator->compressions, "zlib"));
    assert_true(vmf_emulator_has_type(emulator, "virtio-net-pci"));
    assert_false(vmf_emulator_has_type(emulator, "device"));
    machine = vmf_emulator_find_machine(emulator, "pc");
    assert_non_null(machine);
    assert_true(g_str_has_prefix(machine->name, "pc-i440fx-"));
    assert_ptr_equal(vmf_emulator_find_machine(emulator, machine->name), machine);
    assert_null(vmf_emulator_find_machine(emulator, "pc-i440fx-99.0"));
}

static void
test_run_real_dump(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfProber) prober = vmf_prober_new(fixture->cache, USER);
    g_autoptr(GError) error = NULL;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;
    g_autoptr(GBytes) dump = vmf_prober_get_dump(prober, QEMU, "pc-i440fx-7.2", &first, &error);
    g_autoptr(GBytes) again = NULL;
    g_autoptr(VmfVmstateSet) set = NULL;
    gsize length = 0;
    const char *text;

    if (!dump)
        fail_msg("%s", error->message);
    text = g_bytes_get_data(dump, &length);
    set = vmf_vmstate_set_from_dump(text, length, &error);
    if (!set)
        fail_msg("%s", error->message);
    assert_string_equal(set->machine, "pc-i440fx-7.2");
    assert_true(set->devices->len > 100);
    again = vmf_prober_get_dump(prober, QEMU, "pc-i440fx-7.2", &second, &error);
    assert_true(g_bytes_equal(dump, again));
    assert_string_equal(first, second);
    assert_int_equal(strlen(first), 64);
    assert_null(vmf_prober_get_dump(prober, QEMU, "pc-i440fx-99.0", &second, &error));
    assert_true(g_error_matches(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_EXITED));
}

static void
test_run_real_builtins(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfProber) prober = vmf_prober_new(fixture->cache, USER);
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) pc = vmf_prober_get_builtins(prober, QEMU, "pc-i440fx-7.2", &error);
    g_auto(GStrv) without = vmf_prober_get_builtins(prober, QEMU, "pc-i440fx-7.2,hpet=off", &error);

    if (error)
        fail_msg("%s", error->message);
    assert_true(g_strv_contains((const char *const *)pc, "PIIX4_PM"));
    assert_true(g_strv_contains((const char *const *)pc, "hpet"));
    assert_false(g_strv_contains((const char *const *)pc, "e1000"));
    assert_false(g_strv_contains((const char *const *)without, "hpet"));
}

static void
test_machine_is_no_option(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfProber) prober = vmf_prober_new(fixture->cache, USER);
    static const char *const names[] = {"", "-S", "pc /etc/passwd", "pc\n", "pc;x", "p\xc3\xa9"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *identity = NULL;

        assert_null(vmf_prober_get_dump(prober, QEMU, names[i], &identity, &error));
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT));
    }
}

#define GREETING                                                                                   \
    "echo '{\"QMP\": {\"version\": {}, \"capabilities\": []}}'; read line; echo '{\"return\": "    \
    "{}}'; "

static void
test_run_broken(void **state)
{
    static const struct {
        const char *name, *script, *problem;
    } cases[] = {
        {"exits", "exit 1", "exited"},
        {"says-nothing", "exec >&-; exec sleep 100", "exited"},
        {"dies-late", GREETING "exit 0", "exited"},
        {"kills-itself", "kill -9 $$", "exited"},
        {"garbage", "echo hello; exec sleep 100", "garbage"},
        {"no-object", "echo '[1, 2]'; exec sleep 100", "garbage"},
        {"deep", "echo '{\"QMP\": '; head -c 100000 /dev/zero | tr '\\0' '['; echo", "garbage"},
        {"odd-version", GREETING "read line; echo '{\"return\": {\"qemu\": 3}}'; exec sleep 100",
         "garbage"},
        {"no-answer", GREETING "while :; do echo '{\"event\": \"X\"}'; done", "garbage"},
        {"refuses", GREETING "read line; echo '{\"error\": {\"desc\": \"no\"}}'; exec sleep 100",
         "refused"},
        {"floods", "exec cat /dev/zero", "too-much"},
        {"huge", GREETING "read line; head -c 5000000 /dev/zero | tr '\\0' 'x'; echo", "too-much"},
    };
    Fixture *fixture = *state;

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = fake(fixture, cases[i].name, cases[i].script);
        g_autoptr(VmfEmulator) emulator = vmf_emulator_probe(path, USER);

        if (g_strcmp0(emulator->problem, cases[i].problem) != 0)
            fail_msg("%s: %s (%s)", cases[i].name, emulator->problem, emulator->message);
        assert_non_null(emulator->message);
        assert_int_equal(emulator->machines->len, 0);
    }
}

/* It ends in time, and what it started ends with it. */
static void
test_run_hangs(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *mark = g_build_filename(fixture->directory, "pid", NULL);
    g_autofree char *path = fake(fixture, "hangs", "sleep 1000 & echo $!; wait");
    const char *const argv[] = {path, NULL};
    const VmfChildLimits limits = {.time = 300, .output = 100, .space = 1ull << 30};
    g_autoptr(GError) error = NULL;
    VmfChild *child = vmf_child_start(argv, USER, &limits, &error);
    gint64 began = g_get_monotonic_time();
    const char *line;
    gsize length = 0;
    pid_t sleeper;

    assert_non_null(child);
    line = vmf_child_read_line(child, &length, &error);
    assert_non_null(line);
    sleeper = (pid_t)g_ascii_strtoll(line, NULL, 10);
    assert_null(vmf_child_read_line(child, &length, &error));
    assert_true(g_error_matches(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_TIMEOUT));
    assert_true(g_get_monotonic_time() - began >= 250 * 1000);
    vmf_child_free(child);
    for (int i = 0; i < 1000 && kill(sleeper, 0) == 0; i++) {
        g_autofree char *status = g_strdup_printf("/proc/%d/stat", sleeper);
        g_autofree char *text = NULL;

        if (g_file_get_contents(status, &text, NULL, NULL) && strstr(text, ") Z "))
            break; /* killed, and nobody has asked for it yet */
        g_usleep(10000);
        assert_true(i < 999);
    }
}

static void
test_run_missing(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *path = g_build_filename(fixture->directory, "none", NULL);
    g_autofree char *text = fake(fixture, "not-executable", "exit 0");
    g_autoptr(VmfEmulator) none = vmf_emulator_probe(path, USER);
    g_autoptr(VmfEmulator) data = NULL;

    assert_int_equal(g_chmod(text, 0644), 0);
    data = vmf_emulator_probe(text, USER);
    assert_string_equal(none->problem, "missing");
    assert_string_equal(data->problem, "missing");
    assert_non_null(strstr(none->message, path));
}

/* What it may not: the test is the program. */
static void
test_run_confined(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *script = g_strdup_printf(
        "id -u; id -G; cat /etc/shadow 2>/dev/null | wc -c; touch %s/x 2>/dev/null && echo wrote; "
        "cat /proc/net/dev | grep -vc lo:; env | grep -vc -E '^(PATH|PWD|_|SHLVL)='; "
        "ulimit -c; echo done",
        fixture->directory);
    g_autofree char *path = fake(fixture, "confined", script);
    const char *const argv[] = {path, NULL};
    const VmfChildLimits limits = {.time = 20000, .output = 10000, .space = 1ull << 30};
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfChild) child = vmf_child_start(argv, USER, &limits, &error);
    g_autoptr(GBytes) output = NULL;
    g_autofree char *text = NULL;

    if (getuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    assert_int_equal(g_chmod(fixture->directory, 0777), 0);
    assert_non_null(child);
    output = vmf_child_read_all(child, &error);
    assert_non_null(output);
    text = g_strndup(g_bytes_get_data(output, NULL), g_bytes_get_size(output));
    /* uid, groups, bytes of shadow, (nothing written), two lines of heading, no variable, no core
     */
    assert_string_equal(text, "65534\n65534\n0\n2\n0\n0\ndone\n");
}

/* ---- the cache ---- */

static guint
count_files(const char *path)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    guint n = 0;

    while (directory && g_dir_read_name(directory))
        n++;
    return n;
}

static void
test_run_once(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *path = fake(
        fixture, "once",
        GREETING
        "read l; echo '{\"return\": {\"qemu\": {\"major\": 9, \"minor\": 1, \"micro\": 2}}}'; "
        "read l; echo '{\"return\": [{\"capability\": \"xbzrle\"}, {}, {\"capability\": 3}]}'; "
        "read l; echo '{\"return\": {\"downtime-limit\": 300}}'; "
        "read l; echo '{\"return\": []}'; "
        "read l; echo '{\"return\": [{\"name\": \"m-1\", \"alias\": \"m\", \"deprecated\": "
        "true}]}'; "
        "read l; echo '{\"return\": [{\"name\": \"a\"}]}'; rm -f ran; exec sleep 100");
    g_autoptr(VmfProber) prober = vmf_prober_new(fixture->cache, USER);
    g_autoptr(VmfEmulator) first = vmf_prober_get_emulator(prober, path);
    g_autoptr(VmfEmulator) second = NULL;
    g_autoptr(VmfEmulator) third = NULL;

    if (first->problem)
        fail_msg("%s", first->message);
    assert_int_equal(first->version, 9001002);
    assert_int_equal(g_strv_length(first->capabilities), 1);
    assert_true(vmf_emulator_find_machine(first, "m")->deprecated);
    /* The same file, made not executable: only the cache can know. */
    assert_int_equal(g_chmod(path, 0644), 0);
    second = vmf_prober_get_emulator(prober, path);
    assert_null(second->problem);
    assert_int_equal(second->version, 9001002);
    assert_string_equal(
        second->machines->len ? ((VmfMachine *)second->machines->pdata[0])->name : "", "m-1");
    assert_true(vmf_emulator_has_type(second, "a"));
    g_free(fake(fixture, "once", "exit 3")); /* another size: another binary */
    third = vmf_prober_get_emulator(prober, path);
    assert_string_equal(third->problem, "exited");
}

/* A binary that was broken is not asked each time. */
static void
test_broken_is_remembered(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *path = fake(fixture, "broken", "exit 1");
    g_autoptr(VmfProber) prober = vmf_prober_new(fixture->cache, USER);
    g_autoptr(VmfEmulator) first = vmf_prober_get_emulator(prober, path);
    g_autoptr(VmfEmulator) second = NULL;

    assert_string_equal(first->problem, "exited");
    assert_int_equal(g_unlink(path), 0);
    second = vmf_prober_get_emulator(prober, path);
    assert_string_equal(second->problem, "exited");
}

static void
damage(const char *path, gsize at)
{
    g_autofree char *text = NULL;
    gsize length = 0;

    assert_true(g_file_get_contents(path, &text, &length, NULL));
    assert_true(at < length);
    text[at] ^= 1;
    assert_true(g_file_set_contents(path, text, (gssize)length, NULL));
}

static void
test_cache_damaged(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfCache) cache = vmf_cache_new(fixture->cache);
    g_autoptr(GBytes) value = g_bytes_new_static("some value", 10);
    g_autoptr(GBytes) loaded = NULL;
    g_autoptr(GDir) directory = NULL;
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    gsize length = 0;

    assert_null(vmf_cache_load(cache, "key"));
    vmf_cache_store(cache, "key", value);
    loaded = vmf_cache_load(cache, "key");
    assert_true(g_bytes_equal(loaded, value));
    assert_null(vmf_cache_load(cache, "other"));
    directory = g_dir_open(fixture->cache, 0, NULL);
    path = g_build_filename(fixture->cache, g_dir_read_name(directory), NULL);
    assert_true(g_file_get_contents(path, &text, &length, NULL));
    for (gsize at = 0; at < length; at++) {
        g_autoptr(GBytes) wrong = NULL;

        damage(path, at);
        wrong = vmf_cache_load(cache, "key");
        if (wrong && !g_bytes_equal(wrong, value))
            fail_msg("byte %" G_GSIZE_FORMAT " does not matter", at);
        assert_true(g_file_set_contents(path, text, (gssize)length, NULL));
    }
    for (gsize cut = 0; cut < length; cut++) {
        assert_true(g_file_set_contents(path, text, (gssize)cut, NULL));
        assert_null(vmf_cache_load(cache, "key"));
    }
}

static void
test_cache_is_bounded(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfCache) cache = vmf_cache_new(fixture->cache);
    g_autoptr(GBytes) value = g_bytes_new_static("v", 1);

    for (guint i = 0; i < VMF_CACHE_FILES + 20; i++) {
        g_autofree char *key = g_strdup_printf("key %u", i);

        vmf_cache_store(cache, key, value);
    }
    assert_int_equal(count_files(fixture->cache), VMF_CACHE_FILES);
}

static void
test_cache_cannot_be_written(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *path = fake(fixture, "file", "");
    g_autoptr(VmfCache) cache = vmf_cache_new(path);
    g_autoptr(GBytes) value = g_bytes_new_static("v", 1);

    vmf_cache_store(cache, "key", value);
    assert_null(vmf_cache_load(cache, "key"));
}

static void
test_foreign_dumps(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfProber) prober = vmf_prober_new(fixture->cache, USER);
    g_autoptr(GBytes) dump = g_bytes_new_static("{}", 2);
    g_autofree char *identity = NULL;
    g_autofree char *expected = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, dump);
    g_autoptr(GBytes) found = NULL;

    assert_null(vmf_prober_find_dump(prober, "hostb", &identity));
    vmf_prober_keep_dump(prober, "hostb", dump);
    found = vmf_prober_find_dump(prober, "hostb", &identity);
    assert_true(g_bytes_equal(found, dump));
    assert_string_equal(identity, expected);
    assert_null(vmf_prober_find_dump(prober, "hostc", &identity));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_run_real, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_real_dump, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_real_builtins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_machine_is_no_option, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_broken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_hangs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_confined, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_is_remembered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cache_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cache_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cache_cannot_be_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign_dumps, set_up, tear_down),
    };

    vmf_leave_out_under_valgrind("test_run_*", "it knows no mount_setattr(), which confines them");
    return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
