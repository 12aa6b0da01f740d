/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/owner.h"

#include "base/error.h"
#include "xml/domain.h"

/* Counted, because a question that is under way may outlive the daemon's wish to know. */
struct VmfOwner {
    VmfLibvirt *libvirt;
    char *uri;
    GMutex lock; /* held while asking, so that the others wait for that answer */
    gboolean known;
    guint uid;
    guint gid;
};

static gboolean
vmf_owner_ask(VmfOwner *self, GError **error)
{
    g_autoptr(virConnect) connection = vmf_libvirt_open(self->uri, error);
    char *xml = connection ? virConnectGetCapabilities(connection) : NULL;

    if (!connection)
        return FALSE;
    if (!xml) {
        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "reading libvirt's capabilities");
        return FALSE;
    }
    self->known = vmf_capabilities_xml_get_owner(xml, &self->uid, &self->gid, error);
    free(xml); /* libvirt's own allocation */
    return self->known;
}

gboolean
vmf_owner_get(VmfOwner *self, guint *ret_uid, guint *ret_gid, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (!self->known && !vmf_owner_ask(self, error))
        return FALSE;
    *ret_uid = self->uid;
    *ret_gid = self->gid;
    return TRUE;
}

gboolean
vmf_owner_peek(VmfOwner *self, guint *ret_uid, guint *ret_gid)
{
    gboolean known;

    if (!g_mutex_trylock(&self->lock))
        return FALSE; /* libvirt is being asked */
    known = self->known;
    *ret_uid = self->uid;
    *ret_gid = self->gid;
    g_mutex_unlock(&self->lock);
    return known;
}

static void
vmf_owner_clear(gpointer data)
{
    VmfOwner *self = data;

    g_object_unref(self->libvirt);
    g_free(self->uri);
    g_mutex_clear(&self->lock);
}

static void
vmf_owner_unref(gpointer data)
{
    g_atomic_rc_box_release_full(data, vmf_owner_clear);
}

static void
vmf_owner_refresh_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfOwner *self = data;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    /* What fails here is asked again, and told, when somebody needs it. */
    self->known = FALSE;
    g_task_return_boolean(task, vmf_owner_ask(self, NULL));
}

static void
vmf_owner_on_connected(VmfLibvirt *libvirt, gboolean connected, VmfOwner *self)
{
    g_autoptr(GTask) task = NULL;

    if (!connected)
        return;
    task = g_task_new(NULL, NULL, NULL, NULL);
    g_task_set_task_data(task, g_atomic_rc_box_acquire(self), vmf_owner_unref);
    vmf_workers_run(vmf_libvirt_get_workers(libvirt), task, vmf_owner_refresh_thread);
}

VmfOwner *
vmf_owner_new(VmfLibvirt *libvirt, const char *libvirt_uri)
{
    VmfOwner *self = g_atomic_rc_box_new0(VmfOwner);

    self->libvirt = g_object_ref(libvirt);
    self->uri = g_strdup(libvirt_uri);
    g_mutex_init(&self->lock);
    g_signal_connect(libvirt, "connected", G_CALLBACK(vmf_owner_on_connected), self);
    return self;
}

void
vmf_owner_free(VmfOwner *self)
{
    g_signal_handlers_disconnect_by_data(self->libvirt, self);
    vmf_owner_unref(self);
}
