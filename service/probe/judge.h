/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Judges, before a move, what one host knows of the guest against what the other can do. Each
 * function adds its concerns (concern.h) and nothing else: pure, any thread. Bytes.
 *
 * What is called certain (BLOCK) is: QEMU or libvirt would refuse. Whether an optional part of a
 * device's state is sent is decided by QEMU at the moment of saving, so that is never certain.
 */
#pragma once

#include "probe/argv.h"
#include "probe/concern.h"
#include "probe/emulator.h"
#include "probe/native.h"
#include "stream/vmstate.h"

/*
 * `types`: of the devices that the guest has; others do not count. `missing`: those that the
 * destination's QEMU cannot make.
 * Names: "state:TYPE" (certain, unless optional fields beside it may make up for it),
 * "subsection:NAME" and "field:TYPE.FIELD" (if it is sent), "loses:TYPE.FIELD", "device:TYPE".
 */
void vmf_judge_state(GPtrArray *concerns, const VmfVmstateSet *source,
                     const VmfVmstateSet *destination, GHashTable *types,
                     const char *const *missing);

/* "emulator", "machine-type", "emulator-older". `source_version` 0: not known. */
void vmf_judge_emulator(GPtrArray *concerns, const VmfEmulator *destination, const char *machine,
                        guint32 source_version);

/*
 * What post-copy needs of the destination. "postcopy": QEMU there does not have it, or its user may
 * not have the kernel's faults (`userfaultfd`); "postcopy-memory": the guest's memory comes from a
 * file (`source`: of libvirt's memoryBacking, or NULL), which QEMU takes from some file systems
 * only.
 */
void vmf_judge_postcopy(GPtrArray *concerns, const VmfEmulator *destination, gboolean userfaultfd,
                        const char *source);

/*
 * "postcopy-page-size": QEMU does post-copy only between hosts whose pages are equally large.
 * Bytes; 0: not known.
 */
void vmf_judge_page_size(GPtrArray *concerns, guint64 source, guint64 destination);

/*
 * "native": how QEMU could send the guest by itself, without a pump, as far as both hosts can.
 */
void vmf_judge_native(GPtrArray *concerns, const VmfNative *source, const VmfNative *destination);

/*
 * "keepalive": libvirt at the source, which asks the destination's every `interval` seconds (0:
 * never) and hangs up after `count` questions without an answer, does not wait as long for a broken
 * connection as the pumps do (`patience`, s).
 */
void vmf_judge_keepalive(GPtrArray *concerns, guint interval, guint count, guint patience);

/* "memory": what the guest may use against what is free. */
void vmf_judge_memory(GPtrArray *concerns, guint64 wanted, guint64 available, guint64 swap);

/*
 * For two QEMUs that are not alike. "section:slirp": what no dump describes, and is known to differ
 * between releases: QEMU numbered the state of several user networks otherwise before.
 */
void vmf_judge_backends(GPtrArray *concerns, const VmfArgv *argv);

/* "device:TYPE", for what was asked of QEMU and it does not have. */
void vmf_judge_devices(GPtrArray *concerns, const VmfArgv *argv, const VmfEmulator *destination);

/* "property:TYPE.NAME"; `known`: type -> GStrv, of the types that could be asked. */
void vmf_judge_properties(GPtrArray *concerns, const VmfArgv *argv, GHashTable *known);
