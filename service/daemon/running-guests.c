/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/running-guests.h"

#include "base/error.h"

static void
vmf_running_guest_free(gpointer data)
{
    VmfRunningGuest *guest = data;

    g_clear_pointer(&guest->subject, vmf_policy_subject_free);
    g_free(guest->name);
    g_free(guest->uuid);
    g_free(guest);
}

void
vmf_running_guests_free(VmfRunningGuests *self)
{
    g_ptr_array_unref(self->guests);
    g_free(self);
}

static void
vmf_running_guests_add(VmfRunningGuests *self, virDomainPtr domain)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    VmfRunningGuest *guest;
    char *xml;

    if (virDomainGetUUIDString(domain, uuid) < 0)
        return;
    guest = g_new0(VmfRunningGuest, 1);
    guest->name = g_strdup(virDomainGetName(domain));
    guest->uuid = g_strdup(uuid);
    xml = virDomainGetXMLDesc(domain, 0); /* it may have ended by now */
    if (xml)
        guest->subject = vmf_policy_subject_new(xml, NULL, TRUE, NULL);
    free(xml); /* libvirt's own allocation */
    g_ptr_array_add(self->guests, guest);
}

VmfRunningGuests *
vmf_running_guests_list(VmfDaemon *daemon, GError **error)
{
    g_autoptr(virConnect) connection =
        vmf_libvirt_open(vmf_daemon_get_config(daemon)->libvirt_uri, error);
    g_autoptr(VmfRunningGuests) self = g_new0(VmfRunningGuests, 1);
    virDomainPtr *domains = NULL;
    int n;

    self->guests = g_ptr_array_new_with_free_func(vmf_running_guest_free);
    if (!connection || !vmf_owner_get(vmf_daemon_get_owner(daemon), &self->uid, &self->gid, error))
        return NULL;
    n = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    if (n < 0) {
        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "listing the guests");
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        vmf_running_guests_add(self, domains[i]);
        virDomainFree(domains[i]);
    }
    free(domains); /* libvirt's own allocation */
    return g_steal_pointer(&self);
}
