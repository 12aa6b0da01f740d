/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `vmferry check --source A --destination B`: can this QEMU load that state? A is the output of
 * -dump-vmstate of the source's QEMU, a stream, or a save image; B a dump of the destination's.
 * Needs no daemon. argv[0] is "check". Exit status: 0 it can, 1 it cannot, 3 it can and loses
 * state, 2 that could not be found out (complaint on standard error).
 */
#pragma once

int vmf_ctl_check(int argc, char **argv);
