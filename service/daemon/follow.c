/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/follow.h"

#include <libvirt/virterror.h>

#include "base/error.h"
#include "daemon/guest.h"

/* libvirt tells nobody that a migration has failed, so a guest that stays is asked for its job. */
#define VMF_FOLLOW_ASK G_USEC_PER_SEC

/* Of a connection, while nobody has a pump for it. */
#define VMF_FOLLOW_WAITING_MAX 64

typedef struct {
    const char *kind; /* static */
    GSocket *socket;
} VmfFollowed;

struct VmfFollow {
    VmfLibvirt *libvirt;
    gulong handler;
    char *uuid;
    const char *origin;     /* static */
    GSocketAddress *onward; /* where the stream was going, when no vmferryd is there; or NULL */
    char *why_onward;

    GMutex lock; /* for the following */
    GCond changed;
    GQueue waiting; /* VmfFollowed, while there is no pump */
    VmfPump *pump;
    gboolean pump_ended;
    gboolean pump_failed;
    gboolean left; /* libvirt says that the guest is gone from here */
    gboolean closed;
};

static void
vmf_followed_free(gpointer data)
{
    VmfFollowed *followed = data;

    g_object_unref(followed->socket);
    g_free(followed);
}

static void
vmf_follow_on_lifecycle(VmfLibvirt *libvirt, const char *uuid, int event, int detail,
                        VmfFollow *self)
{
    if (event != VIR_DOMAIN_EVENT_STOPPED || !g_str_equal(uuid, self->uuid))
        return;
    g_mutex_lock(&self->lock);
    self->left = detail == VIR_DOMAIN_EVENT_STOPPED_MIGRATED;
    self->closed = TRUE;
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
}

VmfFollow *
vmf_follow_new(VmfLibvirt *libvirt, const char *uuid, const char *origin)
{
    VmfFollow *self = g_atomic_rc_box_new0(VmfFollow);

    self->libvirt = g_object_ref(libvirt);
    self->uuid = g_strdup(uuid);
    self->origin = g_intern_string(origin);
    g_mutex_init(&self->lock);
    g_cond_init(&self->changed);
    g_queue_init(&self->waiting);
    self->handler =
        g_signal_connect(libvirt, "lifecycle", G_CALLBACK(vmf_follow_on_lifecycle), self);
    return self;
}

void
vmf_follow_set_onward(VmfFollow *self, GSocketAddress *to, const char *why)
{
    self->onward = g_object_ref(to);
    self->why_onward = g_strdup(why);
}

GSocketAddress *
vmf_follow_get_onward(const VmfFollow *self)
{
    return self->onward;
}

const char *
vmf_follow_get_why_onward(const VmfFollow *self)
{
    return self->why_onward;
}

VmfFollow *
vmf_follow_ref(VmfFollow *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
vmf_follow_clear(gpointer data)
{
    VmfFollow *self = data;

    g_signal_handler_disconnect(self->libvirt, self->handler);
    g_object_unref(self->libvirt);
    g_clear_object(&self->pump);
    g_clear_object(&self->onward);
    g_free(self->why_onward);
    g_queue_clear_full(&self->waiting, vmf_followed_free);
    g_mutex_clear(&self->lock);
    g_cond_clear(&self->changed);
    g_free(self->uuid);
}

void
vmf_follow_unref(VmfFollow *self)
{
    g_atomic_rc_box_release_full(self, vmf_follow_clear);
}

void
vmf_follow_describe(VmfFollow *self, GVariantDict *guest)
{
    g_variant_dict_insert(guest, "origin", "s", self->origin);
}

gboolean
vmf_follow_take(VmfFollow *self, const char *kind, GSocket *connection)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (self->closed || self->pump_ended || self->waiting.length >= VMF_FOLLOW_WAITING_MAX)
        return FALSE;
    if (self->pump) {
        vmf_pump_attach_channel(self->pump, kind, 0, connection);
    } else {
        VmfFollowed *followed = g_new0(VmfFollowed, 1);

        followed->kind = kind;
        followed->socket = g_object_ref(connection);
        g_queue_push_tail(&self->waiting, followed);
    }
    return TRUE;
}

static void
vmf_follow_on_pump_ended(VmfPump *pump, const GError *error, VmfFollow *self)
{
    g_mutex_lock(&self->lock);
    self->pump_ended = TRUE;
    self->pump_failed = error != NULL;
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
}

static void
vmf_follow_set_pump(VmfFollow *self, VmfPump *pump)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    VmfFollowed *followed;

    self->pump = g_object_ref(pump);
    self->pump_ended = self->pump_failed = vmf_pump_has_ended(pump);
    while ((followed = g_queue_pop_head(&self->waiting))) {
        vmf_pump_attach_channel(pump, followed->kind, 0, followed->socket);
        vmf_followed_free(followed);
    }
}

typedef enum { VMF_GUEST_MOVING, VMF_GUEST_LEFT, VMF_GUEST_STAYS } VmfWhereabouts;

static VmfWhereabouts
vmf_follow_ask(VmfFollow *self, const char *libvirt_uri)
{
    g_autoptr(virConnect) connection = vmf_libvirt_open(libvirt_uri, NULL);
    g_autoptr(virDomain) domain =
        connection ? virDomainLookupByUUIDString(connection, self->uuid) : NULL;
    virDomainJobInfo job;
    gboolean stream_failed;

    g_mutex_lock(&self->lock);
    stream_failed = self->pump_failed;
    g_mutex_unlock(&self->lock);
    if (!connection)
        return VMF_GUEST_MOVING; /* nobody knows */
    if (!domain)
        return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN ? VMF_GUEST_LEFT : VMF_GUEST_MOVING;
    if (virDomainIsActive(domain) == 0)
        return VMF_GUEST_LEFT;
    if (stream_failed && vmf_guest_is_torn(domain)) /* its job waits to be resumed */
        return VMF_GUEST_STAYS;
    if (virDomainGetJobInfo(domain, &job) < 0)
        return virGetLastErrorCode() == VIR_ERR_NO_SUPPORT ? VMF_GUEST_STAYS : VMF_GUEST_MOVING;
    if (job.type != VIR_DOMAIN_JOB_NONE)
        return VMF_GUEST_MOVING;
    return VMF_GUEST_STAYS;
}

/* Until the stream is over: what is asked for before is always "moving". */
static void
vmf_follow_wait_stream(VmfFollow *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    while (!self->closed && !self->pump_ended)
        g_cond_wait(&self->changed, &self->lock);
}

/* TRUE when libvirt's event says it; otherwise after a while. */
static gboolean
vmf_follow_wait_event(VmfFollow *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    gint64 until = g_get_monotonic_time() + VMF_FOLLOW_ASK;

    while (!self->closed)
        if (!g_cond_wait_until(&self->changed, &self->lock, until))
            break;
    return self->closed;
}

static VmfWhereabouts
vmf_follow_wait_verdict(VmfFollow *self, const char *libvirt_uri)
{
    VmfWhereabouts where = VMF_GUEST_MOVING;

    while (where == VMF_GUEST_MOVING && !vmf_follow_wait_event(self))
        where = vmf_follow_ask(self, libvirt_uri);
    if (where != VMF_GUEST_MOVING)
        return where;
    g_mutex_lock(&self->lock);
    where = self->left ? VMF_GUEST_LEFT : VMF_GUEST_STAYS;
    g_mutex_unlock(&self->lock);
    return where;
}

gboolean
vmf_follow_run(VmfFollow *self, VmfPump *pump, const char *libvirt_uri, GError **error)
{
    gulong ended = g_signal_connect(pump, "ended", G_CALLBACK(vmf_follow_on_pump_ended), self);
    VmfWhereabouts where;

    vmf_follow_set_pump(self, pump);
    vmf_follow_wait_stream(self);
    where = vmf_follow_wait_verdict(self, libvirt_uri);
    vmf_follow_close(self);
    g_signal_handler_disconnect(pump, ended);
    if (where == VMF_GUEST_LEFT)
        return TRUE;
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_LIBVIRT_FAILED,
                        "libvirt ended its migration and the guest is still on this host; what it "
                        "told the one who started it says why");
    return FALSE;
}

/* The stream is not waited for: it may be that none came, and none will. */
gboolean
vmf_follow_take_up(VmfFollow *self, VmfPump *pump, const char *libvirt_uri, GError **error)
{
    gulong ended = 0;
    VmfWhereabouts where;

    if (pump) {
        ended = g_signal_connect(pump, "ended", G_CALLBACK(vmf_follow_on_pump_ended), self);
        vmf_follow_set_pump(self, pump);
    }
    where = vmf_follow_ask(self, libvirt_uri);
    if (where == VMF_GUEST_MOVING)
        where = vmf_follow_wait_verdict(self, libvirt_uri);
    vmf_follow_close(self);
    if (pump)
        g_signal_handler_disconnect(pump, ended);
    if (where == VMF_GUEST_LEFT)
        return TRUE;
    g_set_error_literal(
        error, VMF_ERROR, VMF_ERROR_LIBVIRT_FAILED,
        "libvirt's migration ended and the guest is still on this host; as vmferryd "
        "was restarted meanwhile, libvirtd's log alone says why");
    return FALSE;
}

void
vmf_follow_close(VmfFollow *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    self->closed = TRUE;
    g_queue_clear_full(&self->waiting, vmf_followed_free);
    g_cond_broadcast(&self->changed);
}
