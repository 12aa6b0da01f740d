/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulators of this host, asked once: what is known of a binary holds until its size or time
 * changes, over restarts, too (cache.h). A broken binary is asked again after a minute.
 *
 * Functions block while an emulator is asked, one at a time: worker threads; the first asks and the
 * others wait for that answer. Reference counted, as a worker may outlive the daemon's interest.
 */
#pragma once

#include "probe/emulator.h"
#include "stream/vmstate.h"

typedef struct VmfProber VmfProber;

/* `user`: who emulators become. */
VmfProber *vmf_prober_new(const char *cache_directory, const char *user);
VmfProber *vmf_prober_ref(VmfProber *prober);
void vmf_prober_unref(VmfProber *prober);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfProber, vmf_prober_unref)

/* Never NULL; what is wrong with it is in it. The caller's. */
VmfEmulator *vmf_prober_get_emulator(VmfProber *prober, const char *path);

/*
 * What it can save and load with a machine type, as JSON, and `ret_identity`, a checksum: two
 * binaries that give the same are alike. Errors: VMF_PROBE_ERROR, VMF_ERROR_INVALID_ARGUMENT.
 */
GBytes *vmf_prober_get_dump(VmfProber *prober, const char *path, const char *machine,
                            char **ret_identity, GError **error);

/* The types that a machine is made of, see vmf_emulator_builtins(). */
char **vmf_prober_get_builtins(VmfProber *prober, const char *path, const char *machine,
                               GError **error);

/* What properties devices of these types have, see vmf_emulator_properties(). */
GHashTable *vmf_prober_get_properties(VmfProber *prober, const char *path, const char *const *types,
                                      GError **error);

/* The latest dump that another host sent, by a label of the caller's. NULL: none yet. */
GBytes *vmf_prober_find_dump(VmfProber *prober, const char *label, char **ret_identity);
void vmf_prober_keep_dump(VmfProber *prober, const char *label, GBytes *dump);
