/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/layout.h"

#include <string.h>

typedef struct {
    char *name;
    uint32_t instance;
    uint64_t size;
} Device;

struct VmfLayout {
    GArray *devices; /* Device */
};

static void
device_clear(gpointer device)
{
    g_free(((Device *)device)->name);
}

VmfLayout *
vmf_layout_new(void)
{
    VmfLayout *layout = g_new0(VmfLayout, 1);

    layout->devices = g_array_new(FALSE, FALSE, sizeof(Device));
    g_array_set_clear_func(layout->devices, device_clear);
    return layout;
}

void
vmf_layout_free(VmfLayout *layout)
{
    if (!layout)
        return;
    g_array_unref(layout->devices);
    g_free(layout);
}

void
vmf_layout_add(VmfLayout *layout, const char *name, uint32_t instance, uint64_t size)
{
    Device device = {.name = g_strdup(name), .instance = instance, .size = size};

    g_array_append_val(layout->devices, device);
}

guint
vmf_layout_length(const VmfLayout *layout)
{
    return layout->devices->len;
}

gboolean
vmf_layout_find(const VmfLayout *layout, guint *cursor, const char *name, uint32_t instance,
                uint64_t *ret_size)
{
    guint end = MIN(layout->devices->len, *cursor + VMF_LAYOUT_AHEAD);

    for (guint i = *cursor; i < end; i++) {
        const Device *device = &g_array_index(layout->devices, Device, i);

        if (device->instance == instance && strcmp(device->name, name) == 0) {
            *cursor = i + 1;
            *ret_size = device->size;
            return TRUE;
        }
    }
    return FALSE;
}
