/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's XML, as far as vmferry asks it: domains and host capabilities.
 *
 * Parsed by libxml2 without network, without external entities and with libxml2's own limits on
 * size and nesting; what comes from a peer is no different from what comes from libvirt.
 * Formats: libvirt's formatdomain and formatcaps. Pure; any thread.
 */
#pragma once

#include <glib.h>

typedef struct {
    char *name;
    char *uuid;             /* canonical */
    char *machine;          /* e.g. pc-i440fx-7.2, may be NULL */
    guint64 memory;         /* bytes, current maximum */
    gboolean writable_disk; /* any disk or floppy that is not read-only */
    char *type;             /* libvirt's word for the accelerator: kvm, qemu, test; may be NULL */
    char *arch;             /* e.g. x86_64, may be NULL */
    char *emulator;         /* a path, may be NULL */
    char *loader;           /* firmware that is a file, may be NULL */
    char *cpu;              /* the <cpu> element as XML, may be NULL */
    char *cpu_mode;         /* custom, host-passthrough, ...; may be NULL */
    char *memory_source;    /* anonymous, file, memfd; may be NULL */
    char *cpu_check;        /* none, partial, full; may be NULL */
} VmfDomainXml;

/* Fails with VMF_ERROR_INVALID_ARGUMENT and libxml2's line and message. */
VmfDomainXml *vmf_domain_xml_parse(const char *xml, GError **error);
void vmf_domain_xml_free(VmfDomainXml *domain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfDomainXml, vmf_domain_xml_free)

/*
 * The same domain without its network interfaces; in `ret_models` their models, in `ret_users` how
 * many of them are user networks. Fails as vmf_domain_xml_parse().
 */
char *vmf_domain_xml_strip_interfaces(const char *xml, char ***ret_models, guint *ret_users,
                                      GError **error);

/* The paths that the capabilities name as emulators, those that libvirt would run; the caller's. */
char **vmf_capabilities_xml_get_emulators(const char *xml);

/*
 * The user and group QEMU runs as, from the capabilities' DAC security model; 0 and 0 when libvirt
 * runs QEMU as root or the model is off.
 */
gboolean vmf_capabilities_xml_get_owner(const char *xml, guint *ret_uid, guint *ret_gid,
                                        GError **error);
