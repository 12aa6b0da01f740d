/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `vmferry inspect FILE|-`: what is in a migration stream or a libvirt save image.
 * Needs no daemon. argv[0] is "inspect". Returns an exit status; complains on standard error.
 */
#pragma once

int vmf_ctl_inspect(int argc, char **argv);
