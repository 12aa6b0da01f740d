/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this host's emulators can do without a pump (probe/native.h): asked as soon as libvirt is
 * connected, so that it is known when two hosts talk, and nobody waits for it then.
 *
 * Those that libvirt's capabilities name are known beforehand; a guest of this host may have
 * another one, which is asked for it. Functions are for the main loop unless they say otherwise.
 *
 * Signal: "changed" (), when it became known, or is not what it was.
 */
#pragma once

#include "daemon/libvirt.h"
#include "probe/host.h"
#include "probe/native.h"
#include "probe/prober.h"

#define VMF_TYPE_NATIVES (vmf_natives_get_type())
G_DECLARE_FINAL_TYPE(VmfNatives, vmf_natives, VMF, NATIVES, GObject)

VmfNatives *vmf_natives_new(VmfLibvirt *libvirt, const char *libvirt_uri, VmfProber *prober);

/*
 * Of the emulator `path`; where libvirt names no such one, or it is NULL, what all of them can. In
 * `buffer`, which is returned; NULL: not known yet, or libvirt names no emulator at all. Does not
 * wait; any thread.
 */
const VmfNative *vmf_natives_peek(VmfNatives *natives, const char *path, VmfNative *buffer);

/* Has it asked again, in a thread, if that is more than a minute ago: QEMU may have been updated.
 */
void vmf_natives_refresh(VmfNatives *natives);

/*
 * What this host can do apart from its emulators, with what this libvirt's migration takes; the
 * caller's. NULL: libvirt does not answer. Blocks: worker threads.
 */
VmfHostFacts *vmf_natives_gather(virConnectPtr connection);

/*
 * Of a guest of this host, and in `ret_path`, the caller's, its emulator: NULL where it has none.
 * Blocks: worker threads. As vmf_natives_peek().
 */
const VmfNative *vmf_natives_ask(VmfNatives *natives, const char *uuid, VmfNative *buffer,
                                 char **ret_path);
