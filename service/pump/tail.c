/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/tail.h"

#include <string.h>

#include "base/bytes.h"

#define END_OF_FILE 0x00 /* elements of the stream */
#define DESCRIPTION 0x06
#define FOOTER 0x7e
#define FOOTER_SIZE 5
#define HEAD (1 + 1 + 4) /* end of file, description, its length */

struct VmfTail {
    const VmfLoadable *loadable;
    GByteArray *bytes;
    gsize searched; /* no description begins before */
    gboolean begun; /* one may begin there */
};

VmfTail *
vmf_tail_new(const VmfLoadable *loadable)
{
    VmfTail *self = g_new0(VmfTail, 1);

    self->loadable = loadable;
    self->bytes = g_byte_array_new();
    return self;
}

void
vmf_tail_free(VmfTail *self)
{
    if (!self)
        return;
    g_byte_array_unref(self->bytes);
    g_free(self);
}

const GByteArray *
vmf_tail_bytes(const VmfTail *self)
{
    return self->bytes;
}

static gsize
length_at(const uint8_t *at)
{
    VmfBytes bytes = VMF_BYTES(at, 4);

    return vmf_bytes_get_u32(&bytes);
}

/* Moves to where a description may begin: end of file, its mark, a length, a JSON object. */
static gboolean
find_description(VmfTail *self)
{
    const uint8_t *data = self->bytes->data;

    for (; self->searched + HEAD + 1 <= self->bytes->len; self->searched++) {
        const uint8_t *at = data + self->searched;

        if (at[0] == END_OF_FILE && at[1] == DESCRIPTION && at[HEAD] == '{' &&
            length_at(at + 2) <= VMF_TAIL_MAX)
            return TRUE;
    }
    return FALSE;
}

static VmfTailVerdict
judge(VmfTail *self, GError **error)
{
    while ((self->begun = find_description(self))) {
        const uint8_t *at = self->bytes->data + self->searched;
        gsize length = length_at(at + 2);
        g_autoptr(VmfDescription) description = NULL;

        if (self->searched + HEAD + length > self->bytes->len)
            return VMF_TAIL_HELD;
        description = vmf_description_parse((const char *)at + HEAD, length, NULL);
        if (description)
            return vmf_loadable_check(self->loadable, description, error) ? VMF_TAIL_RELEASE
                                                                          : VMF_TAIL_REFUSED;
        self->searched++; /* some device's bytes */
    }
    return VMF_TAIL_HELD;
}

VmfTailVerdict
vmf_tail_put(VmfTail *self, const uint8_t *data, gsize length, GError **error)
{
    VmfTailVerdict verdict;

    g_byte_array_append(self->bytes, data, (guint)length);
    verdict = judge(self, error);
    if (verdict == VMF_TAIL_HELD && self->bytes->len > VMF_TAIL_MAX)
        return VMF_TAIL_RELEASE;
    return verdict;
}

VmfTailVerdict
vmf_tail_rest(const VmfTail *self)
{
    const uint8_t *end = self->bytes->data + self->bytes->len;

    if (self->begun || self->bytes->len < FOOTER_SIZE + 1)
        return VMF_TAIL_HELD;
    return end[-1] == END_OF_FILE && end[-1 - FOOTER_SIZE] == FOOTER ? VMF_TAIL_RELEASE
                                                                     : VMF_TAIL_HELD;
}
