/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sizes of the device sections of one stream, in the order they were saved. Made from the
 * vmdescription (stream/description.h), used by the reader, which cannot know them otherwise.
 *
 * Plain data, filled once and then read from any thread. Sizes are bytes of the section's body.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

typedef struct VmfLayout VmfLayout;

VmfLayout *vmf_layout_new(void);
void vmf_layout_free(VmfLayout *layout);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfLayout, vmf_layout_free)

void vmf_layout_add(VmfLayout *layout, const char *name, uint32_t instance, uint64_t size);

guint vmf_layout_length(const VmfLayout *layout);

/* How many devices a stream may leave out in a row. */
#define VMF_LAYOUT_AHEAD 1024

/*
 * The first device of that name and instance at or after `*cursor` (but not more than
 * VMF_LAYOUT_AHEAD further on); moves the cursor behind it.
 * FALSE, with the cursor as it was, when there is none.
 */
gboolean vmf_layout_find(const VmfLayout *layout, guint *cursor, const char *name,
                         uint32_t instance, uint64_t *ret_size);
