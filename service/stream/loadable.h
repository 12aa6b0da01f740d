/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subsections that a destination knows of each state, to be held against what a stream really
 * has: QEMU refuses a subsection that it does not know, and does so at the very end.
 *
 * Of states that the destination's dump does not describe nothing is said. Made, then only read;
 * any thread.
 */
#pragma once

#include "stream/vmstate.h"

#define VMF_LOADABLE_FORMAT "a{sas}" /* state -> names of its subsections */

typedef struct VmfLoadable VmfLoadable;

VmfLoadable *vmf_loadable_new(void);
void vmf_loadable_free(VmfLoadable *loadable);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfLoadable, vmf_loadable_free)

/* `subsection` NULL: the state is known. */
void vmf_loadable_add(VmfLoadable *loadable, const char *state, const char *subsection);

/* All states of a dump, those inside others, too. */
void vmf_loadable_add_set(VmfLoadable *loadable, const VmfVmstateSet *destination);

/* Every state takes a subsection of that name. */
void vmf_loadable_allow(VmfLoadable *loadable, const char *subsection);

/* Floating; and back, from anything of that type. */
GVariant *vmf_loadable_to_variant(const VmfLoadable *loadable);
VmfLoadable *vmf_loadable_from_variant(GVariant *variant);

/*
 * FALSE, with VMF_ERROR_INCOMPATIBLE and the names of device and subsection, if the stream has a
 * subsection that its state is known not to take.
 */
gboolean vmf_loadable_check(const VmfLoadable *loadable, const VmfDescription *description,
                            GError **error);
