/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a guest is made of, as libvirt would tell QEMU: read off the command line that
 * virConnectDomainXMLToNative() makes of its XML ("qemu-argv"). So libvirt's own knowledge of which
 * element becomes which of QEMU's devices is used, without touching the running guest: asking its
 * monitor behind libvirt's back would taint it.
 *
 * Pure; any thread. Errors: VMF_ERROR_LIBVIRT_FAILED (it is no such command line).
 */
#pragma once

#include <glib.h>

#define VMF_ARGV_DEVICES 4096

typedef struct {
    char *type;        /* QEMU's name */
    char *id;          /* or "" */
    char **properties; /* names of what is set, without type, id and bus */
} VmfArgvDevice;

typedef struct {
    char *machine;       /* its type, with the properties that decide which devices it has */
    GPtrArray *devices;  /* VmfArgvDevice, in order */
    guint user_networks; /* back ends that have state of their own */
} VmfArgv;

/*
 * Network interfaces do not come that way: libvirt would make devices on the host for them. Adds
 * them by libvirt's names of their models; `users` are user networks.
 */
void vmf_argv_add_interfaces(VmfArgv *argv, const char *const *models, guint users);

VmfArgv *vmf_argv_parse(const char *command, GError **error);
void vmf_argv_free(VmfArgv *argv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfArgv, vmf_argv_free)

/* The types of its devices and of those that are inside them, each once; a set that owns them. */
GHashTable *vmf_argv_get_types(const VmfArgv *argv);
