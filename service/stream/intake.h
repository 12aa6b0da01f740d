/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes a reader has been given and not yet used.
 *
 * They are looked at where the user keeps them. Only when an item is cut by the end of the input
 * is its beginning copied to a hold, completed there from the next input, and read there.
 * The hold grows to the largest item ever cut; readers bound their items.
 */
#pragma once

#include "stream/cursor.h"

typedef struct {
    const uint8_t *input;
    size_t input_length;
    uint8_t *hold;
    size_t hold_start, hold_end, hold_size;
    uint64_t offset; /* of the first unused byte, from the start of the connection */
} VmfIntake;

void vmf_intake_clear(VmfIntake *intake);

/* Only when the last input is used up. */
void vmf_intake_feed(VmfIntake *intake, const uint8_t *data, size_t length);

/* What can be looked at in one piece now; may be empty. */
static inline VmfCursor
vmf_intake_view(const VmfIntake *intake)
{
    if (G_UNLIKELY(intake->hold_end > intake->hold_start))
        return (VmfCursor){.data = intake->hold + intake->hold_start,
                           .length = intake->hold_end - intake->hold_start};
    return (VmfCursor){.data = intake->input, .length = intake->input_length};
}

/* Makes the view at least `need` bytes long; FALSE: the input is used up, give more. */
gboolean vmf_intake_gather(VmfIntake *intake, size_t need);

/* "offset N (0xN): MESSAGE", with the offset of the byte `at` behind the first unused one. */
GError *vmf_intake_error(const VmfIntake *intake, int code, size_t at, const char *format,
                         va_list args) G_GNUC_PRINTF(4, 0);

/* The first `n` bytes of the view are used. They stay where they are until the next gather. */
static inline void
vmf_intake_consume(VmfIntake *intake, size_t n)
{
    intake->offset += n;
    if (G_UNLIKELY(intake->hold_end > intake->hold_start)) {
        intake->hold_start += n;
        return;
    }
    intake->input += n;
    intake->input_length -= n;
}
