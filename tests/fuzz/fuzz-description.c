/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The vmdescription, with values walked over bytes of the sizes it claims (if they are small). */
#include "fuzz.h"

#include "stream/description.h"
#include "stream/values.h"

#define STATE_MAX 65536

static void
on_begin(VmfGroup group, const char *name, const uint8_t *bytes, uint64_t length,
         gpointer user_data)
{
}

static void
on_end(VmfGroup group, gpointer user_data)
{
}

static void
on_value(const char *name, const VmfValue *value, gpointer user_data)
{
    uint64_t *sum = user_data;

    for (uint64_t i = 0; i < value->length; i++)
        *sum += value->bytes[i];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static const VmfValueVisitor visitor = {on_begin, on_end, on_value};
    g_autoptr(VmfDescription) description = vmf_description_parse((const char *)data, length, NULL);
    g_autoptr(VmfLayout) layout = NULL;
    gsize at, found;

    vmf_description_find(data, length, &at, &found);
    if (!description)
        return 0;
    layout = vmf_description_layout(description);
    g_assert_cmpuint(vmf_layout_length(layout), ==, vmf_description_devices(description));
    for (guint i = 0; i < vmf_description_devices(description); i++) {
        const VmfStruct *state = vmf_description_device(description, i)->state;
        g_autofree uint8_t *bytes = NULL;
        uint64_t sum = 0;

        if (state->size > STATE_MAX)
            continue;
        bytes = g_malloc0(state->size + 1);
        vmf_values_walk(state, bytes, state->size, &visitor, &sum, NULL);
    }
    return 0;
}
