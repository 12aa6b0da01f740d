/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/argv.h"

#include <string.h>

#include "base/error.h"
#include "stream/json.h"

#define COMMAND_MAX (4u << 20)
#define ARGUMENT_MAX (64u << 10)

static void
device_free(gpointer data)
{
    VmfArgvDevice *device = data;

    g_free(device->type);
    g_free(device->id);
    g_strfreev(device->properties);
    g_free(device);
}

void
vmf_argv_free(VmfArgv *self)
{
    if (!self)
        return;
    g_free(self->machine);
    g_ptr_array_unref(self->devices);
    g_free(self);
}

/* -device and -machine take these and others, with values that are none of our business. */
static gboolean
is_property(const char *name)
{
    static const char *const others[] = {"driver", "id", "bus", NULL};

    return *name && !g_strv_contains(others, name) && !strchr(name, '[') && !strchr(name, '.');
}

/* {"driver": "virtio-net-pci", "id": "net0", ...} */
static VmfArgvDevice *
device_from_json(const char *text, GError **error)
{
    g_autoptr(JsonParser) parser = vmf_json_parse(text, strlen(text), ARGUMENT_MAX, error);
    g_autoptr(GStrvBuilder) properties = g_strv_builder_new();
    JsonNode *root = parser ? json_parser_get_root(parser) : NULL;
    VmfArgvDevice *device;
    const char *type, *name;
    const char *id = "";
    JsonObjectIter iter;
    JsonNode *value;

    if (!root || !JSON_NODE_HOLDS_OBJECT(root) ||
        !vmf_json_string(json_node_get_object(root), "driver", &type, error))
        return NULL;
    vmf_json_string(json_node_get_object(root), "id", &id, NULL);
    json_object_iter_init_ordered(&iter, json_node_get_object(root));
    while (json_object_iter_next_ordered(&iter, &name, &value))
        if (is_property(name))
            g_strv_builder_add(properties, name);
    device = g_new0(VmfArgvDevice, 1);
    device->type = g_strdup(type);
    device->id = g_strdup(id);
    device->properties = g_strv_builder_end(properties);
    return device;
}

/* "virtio-net-pci,id=net0,..."; a comma in a value is doubled. */
static VmfArgvDevice *
device_from_list(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    g_autoptr(GStrvBuilder) properties = g_strv_builder_new();
    VmfArgvDevice *device = g_new0(VmfArgvDevice, 1);

    for (guint i = 0; parts[i]; i++) {
        char *equals = strchr(parts[i], '=');

        if (!*parts[i] && parts[i + 1]) {
            i++; /* the rest of a value */
            continue;
        }
        if (equals)
            *equals = '\0';
        if (i == 0 && !equals)
            device->type = g_strdup(parts[i]);
        else if (equals && g_str_equal(parts[i], "driver"))
            device->type = g_strdup(equals + 1);
        else if (equals && g_str_equal(parts[i], "id"))
            device->id = g_strdup(equals + 1);
        else if (equals && is_property(parts[i]))
            g_strv_builder_add(properties, parts[i]);
    }
    device->properties = g_strv_builder_end(properties);
    if (!device->type)
        device->type = g_strdup("");
    if (!device->id)
        device->id = g_strdup("");
    return device;
}

static gboolean
add_device(VmfArgv *self, const char *text, GError **error)
{
    VmfArgvDevice *device;

    if (self->devices->len >= VMF_ARGV_DEVICES) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED, "more than %d devices",
                    VMF_ARGV_DEVICES);
        return FALSE;
    }
    device = *text == '{' ? device_from_json(text, error) : device_from_list(text);
    if (device)
        g_ptr_array_add(self->devices, device);
    return device != NULL;
}

/* Whether a property of the machine decides which devices it has of its own. */
static gboolean
is_deciding(const char *name, const char *value)
{
    static const char *const deciding[] = {"acpi", "hpet",  "i8042", "pic",    "pit", "rtc",
                                           "sata", "smbus", "smm",   "vmport", "usb", NULL};

    return g_strv_contains(deciding, name) &&
           (g_str_equal(value, "on") || g_str_equal(value, "off") || g_str_equal(value, "auto"));
}

/* QEMU joins several -machine; the type is the first word, or "type=". */
static void
add_machine(VmfArgv *self, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    g_auto(GStrv) before = g_strsplit(self->machine ? self->machine : "", ",", 2);
    g_autofree char *type = g_strdup(before[0]);
    g_autoptr(GString) machine = g_string_new(before[0] && before[1] ? before[1] : "");

    for (char **part = parts; *part; part++) {
        g_auto(GStrv) pair = g_strsplit(*part, "=", 2);

        if ((part == parts && pair[0] && !pair[1]) || g_str_has_prefix(*part, "type=")) {
            g_free(type);
            type = g_strdup(pair[1] ? pair[1] : pair[0]);
        } else if (pair[0] && pair[1] && is_deciding(pair[0], pair[1])) {
            g_string_append_printf(machine, "%s%s", machine->len > 0 ? "," : "", *part);
        }
    }
    g_free(self->machine);
    self->machine = g_strconcat(type ? type : "", machine->len > 0 ? "," : "", machine->str, NULL);
}

/* As older releases say it; these come behind -machine. */
static void
add_to_machine(VmfArgv *self, const char *property)
{
    char *machine = self->machine;

    if (!machine)
        return;
    self->machine = g_strconcat(machine, ",", property, NULL);
    g_free(machine);
}

VmfArgv *
vmf_argv_parse(const char *command, GError **error)
{
    g_autoptr(VmfArgv) self = g_new0(VmfArgv, 1);
    g_auto(GStrv) words = NULL;
    g_autoptr(GError) problem = NULL;

    self->devices = g_ptr_array_new_with_free_func(device_free);
    if (strlen(command) > COMMAND_MAX || !g_shell_parse_argv(command, NULL, &words, &problem)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_LIBVIRT_FAILED,
                    "libvirt's command line for QEMU cannot be read: %s",
                    problem ? problem->message : "too long");
        return NULL;
    }
    for (char **word = words; *word; word++) {
        if (g_str_equal(*word, "-no-hpet"))
            add_to_machine(self, "hpet=off");
        else if (g_str_equal(*word, "-no-acpi"))
            add_to_machine(self, "acpi=off");
        else if (word[1] && g_str_equal(*word, "-machine"))
            add_machine(self, *++word);
        else if (word[1] && g_str_equal(*word, "-device") && !add_device(self, *++word, error))
            return NULL;
    }
    if (self->machine && *self->machine && *self->machine != ',')
        return g_steal_pointer(&self);
    g_set_error(error, VMF_ERROR, VMF_ERROR_LIBVIRT_FAILED,
                "libvirt's command line for QEMU names no machine");
    return NULL;
}

void
vmf_argv_add_interfaces(VmfArgv *self, const char *const *models, guint users)
{
    static const struct {
        const char *model, *type;
    } others[] = {
        {"virtio", "virtio-net-pci"},
        {"virtio-transitional", "virtio-net-pci-transitional"},
        {"virtio-non-transitional", "virtio-net-pci-non-transitional"},
    };

    self->user_networks = users;
    for (; *models; models++) {
        VmfArgvDevice *device;
        const char *type = *models;

        if (!*type || self->devices->len >= VMF_ARGV_DEVICES)
            continue;
        for (guint i = 0; i < G_N_ELEMENTS(others); i++)
            if (g_str_equal(type, others[i].model))
                type = others[i].type;
        device = g_new0(VmfArgvDevice, 1);
        device->type = g_strdup(type);
        device->id = g_strdup("interface");
        device->properties = g_new0(char *, 1);
        g_ptr_array_add(self->devices, device);
    }
}

/*
 * The device inside a transport that QEMU makes by itself: virtio-net-device in virtio-net-pci. It
 * is the inner one that has the state.
 */
static char *
inner_type(const char *type)
{
    static const char *const suffixes[] = {"-pci-non-transitional", "-pci-transitional", "-pci",
                                           "-ccw"};

    if (g_str_equal(type, "virtio-vga") || g_str_equal(type, "virtio-gpu-pci"))
        return g_strdup("virtio-gpu-device");
    if (g_str_equal(type, "virtio-vga-gl"))
        return g_strdup("virtio-gpu-gl-device");
    if (!g_str_has_prefix(type, "virtio-") && !g_str_has_prefix(type, "vhost-"))
        return NULL;
    for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++)
        if (g_str_has_suffix(type, suffixes[i]))
            return g_strdup_printf("%.*s-device", (int)(strlen(type) - strlen(suffixes[i])), type);
    return NULL;
}

GHashTable *
vmf_argv_get_types(const VmfArgv *self)
{
    GHashTable *types = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < self->devices->len; i++) {
        const VmfArgvDevice *device = self->devices->pdata[i];
        char *inner = inner_type(device->type);

        g_hash_table_add(types, g_strdup(device->type));
        if (inner)
            g_hash_table_add(types, inner);
    }
    return types;
}
