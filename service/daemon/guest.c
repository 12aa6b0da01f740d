/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/guest.h"

#include <libvirt/virterror.h>

#include "base/error.h"
#include "xml/domain.h"

/* QEMU versions as libvirt counts them. */
#define VMF_QEMU_10_0 10000000

void
vmf_guest_free(VmfGuest *guest)
{
    g_free(guest->name);
    g_free(guest->uuid);
    g_free(guest->xml);
    g_free(guest);
}

static gboolean
vmf_libvirt_error_is_no_domain(void)
{
    return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN;
}

virDomainPtr
vmf_guest_lookup(virConnectPtr connection, const char *name_or_uuid, GError **error)
{
    virDomainPtr domain = virDomainLookupByName(connection, name_or_uuid);

    if (!domain && vmf_libvirt_error_is_no_domain() && g_uuid_string_is_valid(name_or_uuid))
        domain = virDomainLookupByUUIDString(connection, name_or_uuid);
    if (domain)
        return domain;
    if (vmf_libvirt_error_is_no_domain())
        g_set_error(error, VMF_ERROR, VMF_ERROR_NO_SUCH_DOMAIN,
                    "this host has no guest '%s'; see virsh list --all", name_or_uuid);
    else
        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "looking up the guest");
    return NULL;
}

static gboolean
vmf_guest_read_state(virDomainPtr domain, VmfGuest *guest, GError **error)
{
    int state = 0;

    if (virDomainGetState(domain, &state, NULL, 0) < 0) {
        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "reading the guest's state");
        return FALSE;
    }
    if (state != VIR_DOMAIN_RUNNING && state != VIR_DOMAIN_PAUSED && state != VIR_DOMAIN_BLOCKED) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_DOMAIN_NOT_RUNNING,
                    "guest '%s' is not running: there is no live state to carry", guest->name);
        return FALSE;
    }
    guest->paused = state == VIR_DOMAIN_PAUSED;
    guest->torn = vmf_guest_is_torn(domain);
    return TRUE;
}

gboolean
vmf_guest_is_torn(virDomainPtr domain)
{
    int state = 0;
    int reason = 0;

    return virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED &&
           (reason == VIR_DOMAIN_PAUSED_POSTCOPY || reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED);
}

gboolean
vmf_guest_has_ended(virDomainPtr domain, gboolean *ret_sure)
{
    int state = 0;
    int reason = 0;

    *ret_sure = virDomainGetState(domain, &state, &reason, 0) == 0;
    if (!*ret_sure)
        return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN; /* it was not persistent */
    return state == VIR_DOMAIN_CRASHED ||
           (state == VIR_DOMAIN_SHUTOFF && reason != VIR_DOMAIN_SHUTOFF_MIGRATED);
}

gboolean
vmf_guest_check_torn(const VmfGuest *guest, gboolean resume, GError **error)
{
    if (guest->torn == resume)
        return TRUE;
    if (resume)
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "guest '%s' is not in the middle of a post-copy migration: there is nothing to "
                    "resume; migrate it without --postcopy-resume",
                    guest->name);
    else
        g_set_error(
            error, VMF_ERROR, VMF_ERROR_DOMAIN_UNSAFE,
            "guest '%s' runs at the destination of a post-copy migration that failed, and "
            "a part of its memory is still here: vmferry migrate --postcopy-resume %s HOST, "
            "with that destination",
            guest->name, guest->name);
    return FALSE;
}

static guint64
vmf_guest_read_resident(virDomainPtr domain)
{
    virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
    int n = virDomainMemoryStats(domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);

    for (int i = 0; i < n; i++)
        if (stats[i].tag == VIR_DOMAIN_MEMORY_STAT_RSS)
            return stats[i].val * 1024;
    return 0;
}

VmfGuest *
vmf_guest_describe(virConnectPtr connection, const char *name_or_uuid, GError **error)
{
    g_autoptr(virDomain) domain = vmf_guest_lookup(connection, name_or_uuid, error);
    g_autoptr(VmfGuest) guest = NULL;
    g_autoptr(VmfDomainXml) parsed = NULL;
    g_autofree char *xml = NULL;
    char *text;

    if (!domain)
        return NULL;
    text = virDomainGetXMLDesc(domain, 0);
    if (!text) {
        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "reading the guest's XML");
        return NULL;
    }
    xml = g_strdup(text);
    free(text); /* libvirt's own allocation */
    parsed = vmf_domain_xml_parse(xml, error);
    if (!parsed)
        return NULL;
    guest = g_new0(VmfGuest, 1);
    guest->name = g_steal_pointer(&parsed->name);
    guest->uuid = g_steal_pointer(&parsed->uuid);
    guest->xml = g_steal_pointer(&xml);
    guest->memory = parsed->memory;
    guest->resident = vmf_guest_read_resident(domain);
    guest->writable_disk = parsed->writable_disk;
    if (!vmf_guest_read_state(domain, guest, error))
        return NULL;
    return g_steal_pointer(&guest);
}

gboolean
vmf_guest_check_safe(virConnectPtr connection, const VmfGuest *guest, gboolean has_run,
                     GError **error)
{
    gulong version = 0;

    if (!guest->paused || !guest->writable_disk || has_run ||
        (virConnectGetVersion(connection, &version) == 0 && version >= VMF_QEMU_10_0))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_DOMAIN_UNSAFE,
                "guest '%s' is paused and was not seen running since it came to this host: its "
                "QEMU would abort and the guest be lost; resume it once (virsh resume), then "
                "migrate",
                guest->name);
    return FALSE;
}

gboolean
vmf_guest_check_waiting(virConnectPtr connection, const char *uuid, GError **error)
{
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(connection, uuid);
    int state = 0;
    int reason = 0;

    /* when QEMU went on by itself and failed then, libvirt may not say so; it knows, though */
    if (domain && virDomainGetState(domain, &state, &reason, 0) == 0 &&
        ((state == VIR_DOMAIN_RUNNING && (reason == VIR_DOMAIN_RUNNING_POSTCOPY ||
                                          reason == VIR_DOMAIN_RUNNING_POSTCOPY_FAILED)) ||
         (state == VIR_DOMAIN_PAUSED &&
          (reason == VIR_DOMAIN_PAUSED_POSTCOPY || reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED))))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_NO_SUCH_DOMAIN,
                "the destination has no guest with UUID %s whose post-copy failed: was it another "
                "host?",
                uuid);
    return FALSE;
}

gboolean
vmf_guest_check_absent(virConnectPtr connection, const char *name, const char *uuid, GError **error)
{
    g_autoptr(virDomain) by_uuid = virDomainLookupByUUIDString(connection, uuid);
    g_autoptr(virDomain) by_name = virDomainLookupByName(connection, name);
    char found[VIR_UUID_STRING_BUFLEN] = "";

    if (by_uuid && virDomainIsActive(by_uuid) == 1)
        g_set_error(error, VMF_ERROR, VMF_ERROR_DOMAIN_EXISTS,
                    "the destination runs a guest with UUID %s already ('%s')", uuid,
                    virDomainGetName(by_uuid));
    else if (by_uuid && g_strcmp0(virDomainGetName(by_uuid), name) != 0)
        g_set_error(error, VMF_ERROR, VMF_ERROR_DOMAIN_EXISTS,
                    "the destination has a guest with UUID %s named '%s'; undefine it there or "
                    "rename one",
                    uuid, virDomainGetName(by_uuid));
    else if (by_name && virDomainGetUUIDString(by_name, found) == 0 && !g_str_equal(found, uuid))
        g_set_error(error, VMF_ERROR, VMF_ERROR_DOMAIN_EXISTS,
                    "the destination has another guest named '%s' (UUID %s); rename one of them",
                    name, found);
    else
        return TRUE;
    return FALSE;
}
