/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules that change the domain XML of a guest which arrives: other paths, networks, bridges,
 * emulators and CPU models than on the host it comes from (rewrite.conf in vmferryd.conf(5)).
 *
 *     [Paths]                     in front of every path of a disk, file system, kernel, firmware
 *     /srv/old/=/srv/new/
 *     [Networks] [Bridges] [Emulators] [CpuModels]      the whole value
 *     blue=green
 *
 * Only values are changed, never names or structure, and only to what can stand there, so what
 * libvirt's schema took before it takes afterwards. Pure; any thread.
 */
#pragma once

#include <glib.h>

typedef struct VmfRewrite VmfRewrite;

/* `file` is for messages. Error: BAD_CONFIGURATION, "FILE: [GROUP] KEY: what is wrong". */
VmfRewrite *vmf_rewrite_parse(const char *text, const char *file, GError **error);
void vmf_rewrite_free(VmfRewrite *rewrite);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfRewrite, vmf_rewrite_free)

/*
 * The changed XML, the caller's; NULL without an error when no rule applies. In `ret_changes` (the
 * caller's, NULL-terminated) "disk source: OLD -> NEW" for each change. Error: INVALID_ARGUMENT
 * when it is no domain XML.
 */
char *vmf_rewrite_apply(const VmfRewrite *rewrite, const char *xml, GStrv *ret_changes,
                        GError **error);
