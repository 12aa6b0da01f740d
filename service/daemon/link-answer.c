/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/link-answer.h"

#include <string.h>

#include "base/error.h"

gboolean
vmf_link_answer_get(GVariant *dict, const char *name, uint8_t *ret, gsize size, GError **error)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(dict, name, G_VARIANT_TYPE_BYTESTRING);
    gsize have = 0;
    const uint8_t *data = value ? g_variant_get_fixed_array(value, &have, 1) : NULL;

    if (have != size) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "the other host answered without a %s",
                    name);
        return FALSE;
    }
    memcpy(ret, data, size);
    return TRUE;
}
