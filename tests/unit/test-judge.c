/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a command line says of a guest, and what is concluded from what two hosts know. */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "base/pack.h"
#include "probe/judge.h"

/* ---- command lines ---- */

static VmfArgv *
parse(const char *command)
{
    g_autoptr(GError) error = NULL;
    VmfArgv *argv = vmf_argv_parse(command, &error);

    if (!argv)
        fail_msg("%s", error->message);
    return argv;
}

static void
test_argv(void **state)
{
    g_autoptr(VmfArgv) argv = parse(
        "LC_ALL=C /usr/bin/qemu-system-x86_64 -name guest=g,debug-threads=on "
        "-machine pc-i440fx-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram -no-hpet "
        "-object '{\"qom-type\":\"secret\",\"id\":\"x\"}' "
        "-device "
        "'{\"driver\":\"virtio-net-pci\",\"netdev\":\"n\",\"id\":\"net0\",\"bus\":\"pci.0\"}' "
        "-device igb,id=foo,romfile=,addr=3,serial=a,,b=c -device -device");
    const VmfArgvDevice *device;

    assert_string_equal(argv->machine, "pc-i440fx-7.2,usb=off,hpet=off");
    assert_int_equal(argv->devices->len, 3);
    device = argv->devices->pdata[0];
    assert_string_equal(device->type, "virtio-net-pci");
    assert_string_equal(device->id, "net0");
    assert_int_equal(g_strv_length(device->properties), 1);
    assert_string_equal(device->properties[0], "netdev");
    device = argv->devices->pdata[1];
    assert_string_equal(device->type, "igb");
    assert_string_equal(device->id, "foo");
    assert_int_equal(g_strv_length(device->properties), 3);
    assert_string_equal(device->properties[2], "serial");
}

static void
test_argv_machines(void **state)
{
    static const struct {
        const char *command, *machine;
    } cases[] = {
        {"q -machine pc", "pc"},
        {"q -machine type=q35,accel=kvm,smm=on", "q35,smm=on"},
        {"q -machine pc,hpet=off,kernel_irqchip=split -no-acpi", "pc,hpet=off,acpi=off"},
        {"q -machine pc,usb=what,vmport=auto", "pc,vmport=auto"},
        {"q -machine pc,usb=off -machine memory-backend=other -machine hpet=off",
         "pc,usb=off,hpet=off"},
        {"q -machine smm=on -machine type=q35", "q35,smm=on"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmfArgv) argv = parse(cases[i].command);

        assert_string_equal(argv->machine, cases[i].machine);
    }
}

static void
test_argv_broken(void **state)
{
    static const char *const commands[] = {"",
                                           "qemu",
                                           "qemu 'open",
                                           "qemu -machine",
                                           "qemu -machine usb=off",
                                           "qemu -machine pc -device '{\"driver\": 3}'",
                                           "qemu -machine pc -device '{'"};

    for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(GError) error = NULL;

        if (vmf_argv_parse(commands[i], &error))
            fail_msg("\"%s\" is one", commands[i]);
        assert_non_null(error);
    }
}

/* The device inside a transport is the one with the state. */
static void
test_types(void **state)
{
    g_autoptr(VmfArgv) argv =
        parse("q -machine pc -device virtio-vga -device virtio-blk-pci-non-transitional "
              "-device virtio-net-pci -device virtio-net-pci -device e1000 -device nvme");
    g_autoptr(GHashTable) types = vmf_argv_get_types(argv);

    assert_int_equal(g_hash_table_size(types), 8);
    assert_true(g_hash_table_contains(types, "virtio-gpu-device"));
    assert_true(g_hash_table_contains(types, "virtio-blk-device"));
    assert_true(g_hash_table_contains(types, "virtio-net-device"));
    assert_true(g_hash_table_contains(types, "e1000"));
}

/* ---- concerns ---- */

static void
test_concerns(void **state)
{
    static const char *const force[] = {"b", "exists", "nothing", NULL};
    g_autoptr(GPtrArray) concerns = vmf_concerns_new();
    g_autoptr(GPtrArray) copy = vmf_concerns_new();
    g_autoptr(GVariant) variant = NULL;
    const VmfConcern *concern;

    vmf_concerns_add(concerns, VMF_SEVERITY_INFO, VMF_ERROR_INCOMPATIBLE, "i", "info");
    vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_INCOMPATIBLE, "b", "block\n%d", 1);
    vmf_concerns_add(concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE, "b", "less");
    vmf_concerns_add(concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE, "a", "less");
    vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_INCOMPATIBLE, "a", "more");
    vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_DOMAIN_EXISTS, "exists", "there");
    vmf_concerns_sort(concerns);
    assert_int_equal(concerns->len, 4);
    assert_string_equal(((VmfConcern *)concerns->pdata[0])->name, "a");
    assert_string_equal(((VmfConcern *)concerns->pdata[0])->message, "more");
    assert_string_equal(((VmfConcern *)concerns->pdata[3])->name, "i");
    vmf_concerns_force(concerns, force);
    assert_true(((VmfConcern *)concerns->pdata[1])->forced);
    assert_string_equal(vmf_concerns_find_block(concerns)->name, "a");
    /* What would cost a guest cannot be forced. */
    assert_false(((VmfConcern *)concerns->pdata[2])->forced);
    variant = g_variant_ref_sink(vmf_concerns_to_variant(concerns));
    vmf_concerns_add_variant(copy, variant);
    assert_int_equal(copy->len, 4);
    concern = copy->pdata[1];
    assert_string_equal(concern->message, "block 1"); /* fit for a terminal */
    assert_int_equal(concern->code, VMF_ERROR_INCOMPATIBLE);
    assert_false(concern->forced); /* that is for this side to say */
}

/* ---- state ---- */

#define FIELD(name, optional)                                                                      \
    "{\"field\": \"" name "\", \"version_id\": 0, \"field_exists\": " optional ", \"size\": 4}"
#define SUB(name)                                                                                  \
    "{\"name\": \"" name "\", \"version_id\": 1, \"minimum_version_id\": 1, \"Fields\": []}"
#define DEVICE(type, state, fields, subsections)                                                   \
    "\"" type "\": {\"Name\": \"" type "\", \"version_id\": 1, \"minimum_version_id\": 1, "        \
    "\"Description\": {\"name\": \"" state                                                         \
    "\", \"version_id\": 1, \"minimum_version_id\": 1, \"Fields\": [" fields                       \
    "], \"Subsections\": [" subsections "]}}"
#define DUMP(devices) "{\"vmschkmachine\": {\"Name\": \"pc\"}, " devices "}"
#define A FIELD("a", "false")
#define B FIELD("b", "false")
#define OPTIONAL FIELD("o", "true")

static void
test_state(void **state)
{
    static const struct {
        const char *source, *destination, *missing, *name;
        VmfSeverity severity;
    } cases[] = {
        {DUMP(DEVICE("dev", "s", A, "")), DUMP(DEVICE("dev", "s", A, "")), NULL, NULL, 0},
        {DUMP(DEVICE("dev", "s", A "," B, "")), DUMP(DEVICE("dev", "s", A, "")), NULL, "state:dev",
         VMF_SEVERITY_BLOCK},
        {DUMP(DEVICE("dev", "s", A "," OPTIONAL, "")), DUMP(DEVICE("dev", "s", A, "")), NULL,
         "field:dev.o", VMF_SEVERITY_WARN},
        /* The optional one may be what the other side lacks. */
        {DUMP(DEVICE("dev", "s", A "," B, "")), DUMP(DEVICE("dev", "s", OPTIONAL "," A, "")), NULL,
         "state:dev", VMF_SEVERITY_WARN},
        {DUMP(DEVICE("dev", "s", A, SUB("s/x"))), DUMP(DEVICE("dev", "s", A, "")), NULL,
         "subsection:s/x", VMF_SEVERITY_WARN},
        /* The guest has no such device. */
        {DUMP(DEVICE("other", "s", A "," B, "")), DUMP(DEVICE("other", "s", A, "")), NULL, NULL, 0},
        /* It has another name there, or is only not described. */
        {DUMP(DEVICE("dev", "s", A, "")), DUMP(DEVICE("new", "s", A, "")), "dev", NULL, 0},
        {DUMP(DEVICE("dev", "s", A, "")), DUMP(DEVICE("x", "y", A, "")), "other", NULL, 0},
        {DUMP(DEVICE("dev", "s", A, "")), DUMP(DEVICE("x", "y", A, "")), "dev", "device:dev",
         VMF_SEVERITY_WARN},
    };
    g_autoptr(GHashTable) types = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_add(types, (gpointer) "dev");
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *const missing[] = {cases[i].missing, NULL};
        g_autoptr(GPtrArray) concerns = vmf_concerns_new();
        g_autoptr(VmfVmstateSet) from =
            vmf_vmstate_set_from_dump(cases[i].source, strlen(cases[i].source), NULL);
        g_autoptr(VmfVmstateSet) to =
            vmf_vmstate_set_from_dump(cases[i].destination, strlen(cases[i].destination), NULL);
        const VmfConcern *concern;

        vmf_judge_state(concerns, from, to, types, missing);
        concern = concerns->len ? concerns->pdata[0] : NULL;
        if (g_strcmp0(concern ? concern->name : NULL, cases[i].name) != 0 ||
            (concern && concern->severity != cases[i].severity))
            fail_msg("case %u: %s", i, concern ? concern->name : "no concern");
    }
}

/* ---- hosts, emulators, devices ---- */

static VmfEmulator *
emulator(const char *text)
{
    g_autoptr(GVariant) variant = g_variant_ref_sink(g_variant_new_parsed(text));

    return vmf_emulator_from_variant(variant);
}

static void
assert_concern(GPtrArray *concerns, guint i, const char *name, VmfSeverity severity)
{
    const VmfConcern *concern = i < concerns->len ? concerns->pdata[i] : NULL;

    if (!concern || !g_str_equal(concern->name, name) || concern->severity != severity)
        fail_msg("%s instead of %s", concern ? concern->name : "nothing", name);
}

#define FACTS                                                                                      \
    "{'path': <'/q'>, 'version': <uint32 7002022>, 'types': <['e1000']>, "                         \
    "'machines': <[('pc-i440fx-7.2', 'pc', false)]>}"

static void
test_emulator(void **state)
{
    g_autoptr(VmfEmulator) good = emulator(FACTS);
    g_autoptr(VmfEmulator) gone = emulator("{'path': <'/q'>, 'problem': <'missing'>}");
    g_autoptr(VmfEmulator) hung = emulator("{'path': <'/q'>, 'problem': <'timeout'>}");
    g_autoptr(GPtrArray) fine = vmf_concerns_new();
    g_autoptr(GPtrArray) bad = vmf_concerns_new();
    g_autoptr(GPtrArray) missing = vmf_concerns_new();
    g_autoptr(GPtrArray) broken = vmf_concerns_new();

    vmf_judge_emulator(fine, good, "pc-i440fx-7.2", 7002000);
    assert_int_equal(fine->len, 0);
    vmf_judge_emulator(bad, good, "pc-i440fx-10.0", 10000002);
    assert_int_equal(bad->len, 2);
    assert_concern(bad, 0, "machine-type", VMF_SEVERITY_BLOCK);
    assert_concern(bad, 1, "emulator-older", VMF_SEVERITY_INFO);
    vmf_judge_emulator(missing, gone, "pc", 0);
    assert_concern(missing, 0, "emulator", VMF_SEVERITY_BLOCK);
    vmf_judge_emulator(broken, hung, "pc", 0);
    assert_concern(broken, 0, "emulator", VMF_SEVERITY_WARN);
}

static void
test_memory(void **state)
{
    g_autoptr(GPtrArray) concerns = vmf_concerns_new();

    vmf_judge_memory(concerns, 100, 100, 0);
    vmf_judge_memory(concerns, 100, 0, 0); /* not known */
    assert_int_equal(concerns->len, 0);
    vmf_judge_memory(concerns, 101, 100, 1);
    assert_concern(concerns, 0, "memory", VMF_SEVERITY_WARN);
    vmf_judge_memory(concerns, 102, 100, 1);
    assert_concern(concerns, 0, "memory", VMF_SEVERITY_BLOCK);
}

static void
test_keepalive(void **state)
{
    g_autoptr(GPtrArray) concerns = vmf_concerns_new();
    const VmfConcern *concern;

    vmf_judge_keepalive(concerns, 0, 5, 120); /* libvirt never asks */
    vmf_judge_keepalive(concerns, 5, 24, 120);
    vmf_judge_keepalive(concerns, 86400, 86400, 120);
    assert_int_equal(concerns->len, 0);
    vmf_judge_keepalive(concerns, 5, 5, 120);
    assert_concern(concerns, 0, "keepalive", VMF_SEVERITY_INFO);
    concern = concerns->pdata[0];
    assert_non_null(strstr(concern->message, "away for 30 s"));
    assert_non_null(strstr(concern->message, "keepalive_count = 24"));
}

static void
test_devices(void **state)
{
    g_autoptr(VmfEmulator) there = emulator(FACTS);
    g_autoptr(VmfArgv) argv =
        parse("q -machine pc -device igb,id=n -device igb,id=m -device e1000,mac=1,x-new=2");
    g_autoptr(GPtrArray) concerns = vmf_concerns_new();
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    const char *properties[] = {"mac", NULL};

    vmf_judge_devices(concerns, argv, there);
    assert_int_equal(concerns->len, 1);
    assert_concern(concerns, 0, "device:igb", VMF_SEVERITY_BLOCK);
    vmf_judge_backends(concerns, argv);
    assert_int_equal(concerns->len, 1);
    g_hash_table_insert(known, (gpointer) "e1000", properties);
    vmf_judge_properties(concerns, argv, known);
    assert_int_equal(concerns->len, 2);
    assert_concern(concerns, 1, "property:e1000.x-new", VMF_SEVERITY_BLOCK);
}

static void
test_postcopy(void **state)
{
    char *without[] = {(char *)"xbzrle", NULL};
    char *with[] = {(char *)"xbzrle", (char *)"postcopy-ram", NULL};
    VmfEmulator emulator = {.capabilities = with};
    g_autoptr(GPtrArray) concerns = vmf_concerns_new();

    vmf_judge_postcopy(concerns, &emulator, TRUE, NULL);
    vmf_judge_postcopy(concerns, &emulator, TRUE, "memfd");
    assert_int_equal(concerns->len, 0);
    vmf_judge_postcopy(concerns, &emulator, FALSE, "file");
    assert_int_equal(concerns->len, 2);
    assert_concern(concerns, 0, "postcopy", VMF_SEVERITY_BLOCK);
    assert_concern(concerns, 1, "postcopy-memory", VMF_SEVERITY_WARN);
    g_ptr_array_set_size(concerns, 0);
    emulator.capabilities = without;
    vmf_judge_postcopy(concerns, &emulator, TRUE, NULL);
    assert_concern(concerns, 0, "postcopy", VMF_SEVERITY_BLOCK);
}

static void
test_page_size(void **state)
{
    g_autoptr(GPtrArray) concerns = vmf_concerns_new();

    vmf_judge_page_size(concerns, 4096, 4096);
    vmf_judge_page_size(concerns, 0, 65536); /* a source that does not say */
    assert_int_equal(concerns->len, 0);
    vmf_judge_page_size(concerns, 4096, 65536);
    assert_concern(concerns, 0, "postcopy-page-size", VMF_SEVERITY_BLOCK);
}

static void
test_backends(void **state)
{
    static const char *const models[] = {"virtio", "", "igb", "virtio-transitional", NULL};
    g_autoptr(VmfArgv) argv = parse("q -machine pc");
    g_autoptr(GPtrArray) concerns = vmf_concerns_new();
    g_autoptr(GHashTable) types = NULL;

    vmf_argv_add_interfaces(argv, models, 1);
    vmf_judge_backends(concerns, argv);
    assert_int_equal(concerns->len, 0);
    argv->user_networks = 2;
    vmf_judge_backends(concerns, argv);
    assert_concern(concerns, 0, "section:slirp", VMF_SEVERITY_WARN);
    types = vmf_argv_get_types(argv);
    assert_int_equal(g_hash_table_size(types), 4);
    assert_true(g_hash_table_contains(types, "virtio-net-device"));
    assert_true(g_hash_table_contains(types, "igb"));
}

/* ---- packing ---- */

static void
test_pack(void **state)
{
    g_autofree char *text = g_strnfill(300000, 'x');
    g_autoptr(GBytes) bytes = g_bytes_new(text, 300000);
    g_autoptr(GBytes) packed = vmf_pack(bytes);
    gsize length = 0;
    const guint8 *data = g_bytes_get_data(packed, &length);
    g_autoptr(GBytes) back = vmf_unpack(data, length, 300000, NULL);
    g_autoptr(GError) error = NULL;

    assert_true(length < 3000);
    assert_true(g_bytes_equal(back, bytes));
    assert_null(vmf_unpack(data, length, 299999, &error));
    assert_int_equal(error->code, VMF_ERROR_PROTOCOL);
    assert_null(vmf_unpack(data, length - 1, 300000, NULL));
    assert_null(vmf_unpack((const guint8 *)"hello", 5, 300000, NULL));
    assert_null(vmf_unpack((const guint8 *)"", 0, 300000, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_argv),        cmocka_unit_test(test_argv_machines),
        cmocka_unit_test(test_argv_broken), cmocka_unit_test(test_types),
        cmocka_unit_test(test_concerns),    cmocka_unit_test(test_state),
        cmocka_unit_test(test_emulator),    cmocka_unit_test(test_memory),
        cmocka_unit_test(test_backends),    cmocka_unit_test(test_devices),
        cmocka_unit_test(test_keepalive),   cmocka_unit_test(test_postcopy),
        cmocka_unit_test(test_page_size),   cmocka_unit_test(test_pack),
    };

    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
