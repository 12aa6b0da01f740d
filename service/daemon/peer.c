/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/peer-private.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/link-service.h"
#include "daemon/pulse.h"
#include "link-bus.h"
#include "link/control.h"

/* One in each direction is what two daemons need; the rest is for what breaks unnoticed. */
#define VMF_PEER_LINKS_MAX 8

G_DEFINE_FINAL_TYPE(VmfPeer, vmf_peer, G_TYPE_OBJECT)

const VmfPeerConfig *
vmf_peer_get_config(VmfPeer *self)
{
    return self->config;
}

GDBusObjectSkeleton *
vmf_peer_get_object(VmfPeer *self)
{
    return G_DBUS_OBJECT_SKELETON(self->object);
}

static void
vmf_peer_set_error(VmfPeer *self, const GError *error)
{
    VmfError code = error && error->domain == VMF_ERROR ? (VmfError)error->code : VMF_ERROR_FAILED;

    vmf_bus_peer_set_error(self->bus, g_variant_new("(ss)", error ? vmf_error_name(code) : "",
                                                    error ? error->message : ""));
}

static void
vmf_peer_on_closed(GDBusConnection *link, gboolean remote_vanished, GError *why, VmfPeer *self)
{
    gboolean dialled;

    vmf_info(NULL, "control link with %s closed%s%s", self->config->name, why ? ": " : "",
             why ? why->message : "");
    g_mutex_lock(&self->lock);
    vmf_bus_peer_set_connected(self->bus, --self->links > 0);
    dialled = self->link == link;
    if (dialled) {
        g_clear_object(&self->link);
        g_clear_object(&self->remote);
    }
    g_mutex_unlock(&self->lock);
    if (dialled && self->redial)
        vmf_redial_lost(self->redial);
}

/* Any thread: the link is served, and noticed when it closes. */
static void
vmf_peer_add_link(VmfPeer *self, GDBusConnection *link, gboolean dialled)
{
    g_mutex_lock(&self->lock);
    self->links++;
    vmf_bus_peer_set_connected(self->bus, TRUE);
    g_mutex_unlock(&self->lock);
    g_signal_connect_object(link, "closed", G_CALLBACK(vmf_peer_on_closed), self, 0);
    vmf_link_service_attach(self->daemon, self, link, dialled);
    vmf_pulse_start(link, self->config->name);
    g_dbus_connection_start_message_processing(link);
}

void
vmf_peer_take_link(VmfPeer *self, GDBusConnection *link)
{
    gboolean alone;
    guint links;

    g_mutex_lock(&self->lock);
    links = self->links;
    alone = self->link == NULL;
    g_mutex_unlock(&self->lock);
    if (links >= VMF_PEER_LINKS_MAX) {
        vmf_warn(NULL, "dropped a control link from %s: it has %u already", self->config->name,
                 links);
        return;
    }
    vmf_info(NULL, "%s connected", self->config->name);
    /* Lives until it closes: the service holds it. */
    vmf_peer_add_link(self, link, FALSE);
    if (alone && self->redial)
        vmf_redial_now(self->redial);
}

static void
vmf_peer_on_answered(gpointer calls, GObject *invocation)
{
    g_atomic_int_add((int *)calls, -1);
}

gboolean
vmf_peer_admit_call(VmfPeer *self, GDBusMethodInvocation *invocation, GError **error)
{
    if (g_atomic_int_get(&self->calls) >= VMF_PEER_CALLS_MAX) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                    "%d calls of this host wait for their answer already", VMF_PEER_CALLS_MAX);
        return FALSE;
    }
    g_atomic_int_inc(&self->calls);
    g_object_weak_ref(G_OBJECT(invocation), vmf_peer_on_answered, &self->calls);
    return TRUE;
}

void
vmf_peer_stop(VmfPeer *self)
{
    g_clear_pointer(&self->redial, vmf_redial_free);
}

/* Keeps what came of one more address; the code is the last one's, the message has them all. */
static void
vmf_peer_add_problem(GError **problems, GError *problem)
{
    GError *before = *problems;

    *problems = problem;
    if (!before)
        return;
    (*problems) =
        g_error_new(problem->domain, problem->code, "%s; %s", before->message, problem->message);
    g_error_free(problem);
    g_error_free(before);
}

/* By one address after the other, in order. */
static GDBusConnection *
vmf_peer_dial_addresses(VmfPeer *self, const VmfIdentity *identity, GCancellable *cancellable,
                        GSocketAddress **ret_remote, GError **error)
{
    GError *problems = NULL;

    for (char **address = self->config->addresses; *address; address++) {
        GError *problem = NULL;
        GDBusConnection *link =
            vmf_control_dial(identity, self->config->name, *address, VMF_DEFAULT_PORT, cancellable,
                             ret_remote, &problem);

        if (link) {
            g_clear_error(&problems);
            return link;
        }
        if (g_error_matches(problem, VMF_ERROR, VMF_ERROR_CANCELLED)) {
            g_clear_error(&problems);
            g_propagate_error(error, problem);
            return NULL;
        }
        vmf_peer_add_problem(&problems, problem);
    }
    g_propagate_error(error, problems);
    return NULL;
}

static GDBusConnection *
vmf_peer_dial(VmfPeer *self, GCancellable *cancellable, GSocketAddress **ret_remote, GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);
    g_autoptr(VmfIdentity) identity = vmf_identity_load(config->tls_directory, error);
    g_autoptr(GDBusConnection) link = NULL;

    if (identity)
        link = vmf_peer_dial_addresses(self, identity, cancellable, ret_remote, error);
    if (!link)
        return NULL;
    vmf_peer_add_link(self, link, TRUE);
    if (!vmf_peer_hello(self, link, cancellable, error)) {
        g_dbus_connection_close(link, NULL, NULL, NULL);
        g_clear_object(ret_remote);
        return NULL;
    }
    return g_steal_pointer(&link);
}

GDBusConnection *
vmf_peer_peek_link(VmfPeer *self, GSocketAddress **ret_remote)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (!self->link || g_dbus_connection_is_closed(self->link))
        return NULL;
    if (ret_remote)
        *ret_remote = g_object_ref(self->remote);
    return g_object_ref(self->link);
}

static void
vmf_peer_wake(GCancellable *cancellable, VmfPeer *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    g_cond_broadcast(&self->dialled);
}

/* This worker's turn to dial, or FALSE when it was cancelled while another's was not over. */
static gboolean
vmf_peer_begin_dialling(VmfPeer *self, GCancellable *cancellable, GError **error)
{
    gulong handler =
        cancellable ? g_cancellable_connect(cancellable, G_CALLBACK(vmf_peer_wake), self, NULL) : 0;
    gboolean cancelled;

    g_mutex_lock(&self->lock);
    while (!(cancelled = g_cancellable_is_cancelled(cancellable)) && self->dialling)
        g_cond_wait(&self->dialled, &self->lock);
    if (!cancelled)
        self->dialling = TRUE;
    g_mutex_unlock(&self->lock);
    g_cancellable_disconnect(cancellable, handler);
    if (cancelled)
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_CANCELLED, "cancelled");
    return !cancelled;
}

static gboolean
vmf_peer_on_lost_early(gpointer data)
{
    VmfPeer *self = data;

    if (self->redial)
        vmf_redial_lost(self->redial);
    return G_SOURCE_REMOVE;
}

/*
 * `link` NULL: there is none to keep. One that has closed by now may have done so before anybody
 * could know that it was the dialled one.
 */
static void
vmf_peer_end_dialling(VmfPeer *self, GDBusConnection *link, GSocketAddress *remote)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (link) {
        g_set_object(&self->link, link);
        g_set_object(&self->remote, remote);
    }
    if (link && g_dbus_connection_is_closed(link))
        g_idle_add_full(G_PRIORITY_DEFAULT, vmf_peer_on_lost_early, g_object_ref(self),
                        g_object_unref);
    self->dialling = FALSE;
    g_cond_broadcast(&self->dialled);
}

GDBusConnection *
vmf_peer_get_link(VmfPeer *self, GCancellable *cancellable, GSocketAddress **ret_remote,
                  GError **error)
{
    g_autoptr(GError) problem = NULL;
    GDBusConnection *link;

    if (!vmf_peer_begin_dialling(self, cancellable, error))
        return NULL;
    link = vmf_peer_peek_link(self, ret_remote);
    if (!link) {
        link = vmf_peer_dial(self, cancellable, ret_remote, &problem);
        if (!g_error_matches(problem, VMF_ERROR, VMF_ERROR_CANCELLED))
            vmf_peer_set_error(self, problem);
        if (link)
            vmf_info(NULL, "connected to %s", self->config->name);
    }
    vmf_peer_end_dialling(self, link, *ret_remote);
    if (!link)
        g_propagate_error(error, g_steal_pointer(&problem));
    return link;
}

static void
vmf_peer_finalize(GObject *object)
{
    VmfPeer *self = VMF_PEER(object);

    vmf_peer_stop(self);
    g_clear_object(&self->link);
    g_clear_object(&self->remote);
    g_clear_object(&self->bus);
    g_clear_object(&self->object);
    vmf_peer_config_free(self->config);
    g_cond_clear(&self->dialled);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(vmf_peer_parent_class)->finalize(object);
}

static void
vmf_peer_class_init(VmfPeerClass *class)
{
    G_OBJECT_CLASS(class)->finalize = vmf_peer_finalize;
}

static void
vmf_peer_init(VmfPeer *self)
{
    g_cond_init(&self->dialled);
    g_mutex_init(&self->lock);
    self->bus = vmf_bus_peer_skeleton_new();
}

/* '-' and '.' cannot be in an object path; each becomes _XX. */
static char *
vmf_peer_object_path(const char *name)
{
    GString *path = g_string_new("/org/vmferry1/peer/");

    for (const char *c = name; *c; c++) {
        if (g_ascii_isalnum(*c))
            g_string_append_c(path, *c);
        else
            g_string_append_printf(path, "_%02x", (guchar)*c);
    }
    return g_string_free(path, FALSE);
}

VmfPeer *
vmf_peer_new(VmfDaemon *daemon, VmfPeerConfig *config)
{
    VmfPeer *self = g_object_new(VMF_TYPE_PEER, NULL);
    g_autofree char *path = vmf_peer_object_path(config->name);

    self->daemon = daemon;
    self->config = config;
    g_object_set(self->bus, "name", config->name, "addresses", config->addresses, "libvirt-uri",
                 config->libvirt_uri, "version", "", "error", g_variant_new("(ss)", "", ""),
                 "features", g_variant_new("a(susa{sv})", NULL), NULL);
    self->object = vmf_bus_object_skeleton_new(path);
    vmf_bus_object_skeleton_set_peer(self->object, self->bus);
    self->redial = vmf_redial_new(self, vmf_daemon_get_workers(daemon));
    return self;
}
