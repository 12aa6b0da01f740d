/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/intake.h"

#include "base/error.h"

void
vmf_intake_clear(VmfIntake *intake)
{
    g_clear_pointer(&intake->hold, g_free);
    *intake = (VmfIntake){0};
}

void
vmf_intake_feed(VmfIntake *intake, const uint8_t *data, size_t length)
{
    g_return_if_fail(intake->input_length == 0);
    intake->input = data;
    intake->input_length = length;
}

static void
make_room(VmfIntake *intake, size_t need)
{
    size_t held = intake->hold_end - intake->hold_start;

    if (intake->hold_start > 0) {
        memmove(intake->hold, intake->hold + intake->hold_start, held);
        intake->hold_start = 0;
        intake->hold_end = held;
    }
    if (need > intake->hold_size) {
        intake->hold_size = MAX(need, 2 * intake->hold_size);
        intake->hold = g_realloc(intake->hold, intake->hold_size);
    }
}

gboolean
vmf_intake_gather(VmfIntake *intake, size_t need)
{
    size_t held = intake->hold_end - intake->hold_start;
    size_t more;

    if (held >= need || (held == 0 && intake->input_length >= need))
        return TRUE;
    if (intake->input_length == 0)
        return FALSE;
    make_room(intake, need);
    more = MIN(need - held, intake->input_length);
    memcpy(intake->hold + held, intake->input, more);
    intake->hold_end += more;
    intake->input += more;
    intake->input_length -= more;
    return held + more >= need;
}

GError *
vmf_intake_error(const VmfIntake *intake, int code, size_t at, const char *format, va_list args)
{
    uint64_t offset = intake->offset + at;
    g_autofree char *what = g_strdup_vprintf(format, args);

    return g_error_new(VMF_ERROR, code,
                       "offset %" G_GUINT64_FORMAT " (0x%" G_GINT64_MODIFIER "x): %s", offset,
                       offset, what);
}
