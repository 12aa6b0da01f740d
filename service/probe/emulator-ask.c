/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs an emulator and asks it. The rest of emulator.h is in emulator.c. */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "probe/emulator-answers.h"
#include "probe/emulator.h"
#include "probe/qmp.h"
#include "stream/vmstate.h"

#define SPACE (8ull << 30) /* QEMU reserves a gigabyte for translated code */
#define OUTPUT (4u << 20)
#define OBJECTS_MAX 4096 /* a machine without devices has 250 */
#define DEPTH_MAX 16

static const VmfChildLimits question = {
    .time = VMF_EMULATOR_PATIENCE, .output = OUTPUT, .space = SPACE};
static const VmfChildLimits dumping = {
    .time = VMF_EMULATOR_PATIENCE, .output = VMF_DUMP_MAX, .space = SPACE};

typedef gboolean (*Answer)(JsonNode *node, GVariantDict *dict, GError **error);

static JsonObject *
device_types(void)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "implements", "device");
    json_object_set_boolean_member(object, "abstract", FALSE);
    return object;
}

static gboolean
ask(VmfChild *child, const char *command, JsonObject *arguments, Answer answer, GVariantDict *dict,
    GError **error)
{
    g_autoptr(JsonNode) node = vmf_qmp_call(child, command, arguments, error);

    return node && answer(node, dict, error);
}

/* An emulator without a machine. */
static VmfChild *
start_bare(const char *path, const char *user, GError **error)
{
    const char *const argv[] = {path,       "-machine", "none", "-no-user-config", "-nodefaults",
                                "-display", "none",     "-qmp", "stdio",           NULL};

    return vmf_child_start(argv, user, &question, error);
}

static gboolean
ask_all(const char *path, const char *user, GVariantDict *dict, GError **error)
{
    g_autoptr(VmfChild) child = start_bare(path, user, error);

    return child && vmf_qmp_greet(child, error) &&
           ask(child, "query-version", NULL, vmf_answer_version, dict, error) &&
           ask(child, "query-migrate-capabilities", NULL, vmf_answer_capabilities, dict, error) &&
           ask(child, "query-migrate-parameters", NULL, vmf_answer_parameters, dict, error) &&
           ask(child, "query-qmp-schema", NULL, vmf_answer_schema, dict, error) &&
           ask(child, "query-machines", NULL, vmf_answer_machines, dict, error) &&
           ask(child, "qom-list-types", device_types(), vmf_answer_types, dict, error);
}

VmfEmulator *
vmf_emulator_probe(const char *path, const char *user)
{
    g_autoptr(GVariant) facts = NULL;
    g_autoptr(GError) error = NULL;
    struct stat info = {0};
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "path", "s", path);
    if (stat(path, &info) == 0) {
        g_variant_dict_insert(&dict, "size", "t", (guint64)info.st_size);
        g_variant_dict_insert(&dict, "mtime", "x",
                              (gint64)info.st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) +
                                  info.st_mtim.tv_nsec);
    }
    if (!ask_all(path, user, &dict, &error)) {
        int code = error->domain == VMF_PROBE_ERROR ? error->code : VMF_PROBE_ERROR_MISSING;

        g_variant_dict_insert(&dict, "problem", "s", vmf_probe_error_name((VmfProbeError)code));
        g_variant_dict_insert(&dict, "message", "s", error->message);
    }
    facts = g_variant_ref_sink(g_variant_dict_end(&dict));
    return vmf_emulator_from_variant(facts);
}

/* It becomes an argument of a program: names and simple properties only. */
static gboolean
check_machine(const char *machine, GError **error)
{
    gboolean valid = g_ascii_isalnum(machine[0]) && strlen(machine) < 256;

    for (const char *c = machine; valid && *c; c++)
        valid = g_ascii_isalnum(*c) || strchr("._-,=+", *c);
    if (!valid)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "'%.64s' is no machine type",
                    machine);
    return valid;
}

GBytes *
vmf_emulator_dump(const char *path, const char *machine, const char *user, GError **error)
{
    const char *const argv[] = {path,          "-machine", machine, "-no-user-config",
                                "-nodefaults", "-display", "none",  "-dump-vmstate",
                                "/dev/fd/1",   NULL};
    g_autoptr(VmfChild) child = NULL;
    g_autoptr(GBytes) dump = NULL;

    if (!check_machine(machine, error) || !(child = vmf_child_start(argv, user, &dumping, error)) ||
        !(dump = vmf_child_read_all(child, error)))
        return NULL;
    if (g_bytes_get_size(dump) > 0)
        return g_steal_pointer(&dump);
    g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_EXITED,
                "%s says nothing about the state of machine type %s", path, machine);
    return NULL;
}

typedef struct {
    VmfChild *child;
    GHashTable *types; /* a set */
    guint objects;
} Walk;

static gboolean
walk_object(Walk *walk, const char *object, guint depth, GError **error)
{
    JsonObject *arguments = json_object_new();
    g_autoptr(JsonNode) node = NULL;
    g_autoptr(GHashTable) children = NULL;
    GHashTableIter iter;
    gpointer name, type;

    json_object_set_string_member(arguments, "path", object);
    node = vmf_qmp_call(walk->child, "qom-list", arguments, error);
    children = node ? vmf_answer_children(node, error) : NULL;
    if (!children)
        return FALSE;
    g_hash_table_iter_init(&iter, children);
    while (g_hash_table_iter_next(&iter, &name, &type)) {
        g_autofree char *below = g_strconcat(object, "/", name, NULL);

        g_hash_table_add(walk->types, g_strdup(type));
        if (++walk->objects > OBJECTS_MAX || depth > DEPTH_MAX) {
            g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_TOO_MUCH,
                        "the machine has more objects than can be");
            return FALSE;
        }
        if (!walk_object(walk, below, depth + 1, error))
            return FALSE;
    }
    return TRUE;
}

char **
vmf_emulator_builtins(const char *path, const char *machine, const char *user, GError **error)
{
    g_autofree char *emulated = g_strconcat(machine, ",accel=tcg", NULL);
    const char *const argv[] = {
        path, "-machine", emulated, "-no-user-config", "-nodefaults", "-display", "none", "-S",
        "-m", "64",       "-qmp",   "stdio",           NULL};
    g_autoptr(GHashTable) types = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(VmfChild) child = NULL;
    Walk walk = {.types = types};
    char **list;

    if (!check_machine(machine, error) || !(child = vmf_child_start(argv, user, &question, error)))
        return NULL;
    walk.child = child;
    if (!vmf_qmp_greet(child, error) || !walk_object(&walk, "/machine", 0, error))
        return NULL;
    list = (char **)g_hash_table_get_keys_as_array(types, NULL);
    g_hash_table_steal_all(types); /* they are the list's now */
    return list;
}

static gboolean
ask_properties(VmfChild *child, const char *type, GHashTable *known, GError **error)
{
    JsonObject *arguments = json_object_new();
    g_autoptr(JsonNode) node = NULL;
    g_autoptr(GError) problem = NULL;
    char **names;

    json_object_set_string_member(arguments, "typename", type);
    node = vmf_qmp_call(child, "device-list-properties", arguments, &problem);
    names = node ? vmf_answer_properties(node, &problem) : NULL;
    if (names)
        g_hash_table_replace(known, g_strdup(type), names);
    if (!problem || g_error_matches(problem, VMF_PROBE_ERROR, VMF_PROBE_ERROR_REFUSED))
        return TRUE; /* a type that cannot be asked */
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

GHashTable *
vmf_emulator_properties(const char *path, const char *const *types, const char *user,
                        GError **error)
{
    g_autoptr(GHashTable) known =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_strfreev);
    g_autoptr(VmfChild) child = start_bare(path, user, error);

    if (!child || !vmf_qmp_greet(child, error))
        return NULL;
    for (; *types; types++)
        if (!ask_properties(child, *types, known, error))
            return NULL;
    return g_steal_pointer(&known);
}
