/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/pump-private.h"

#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>

#include "base/error.h"
#include "base/log.h"
#include "daemon/socket-path.h"

#define VMF_PUMP_OBJECT "/org/vmferry1/pump"
#define VMF_PUMP_CONTROL_FD 3
#define VMF_PUMP_CALL_TIMEOUT 15000 /* ms */
#define VMF_PUMP_PATIENCE_MORE                                                                     \
    30 /* s: the destination's with a link, so that the source decides                             \
        */
#define VMF_PUMP_PATIENCE_MAX 86400 /* s */

G_DEFINE_FINAL_TYPE(VmfPump, vmf_pump, G_TYPE_OBJECT)

enum { SIGNAL_WANTED, SIGNAL_STATISTICS, SIGNAL_LOST_LINKS, SIGNAL_ENDED, SIGNALS };

static guint vmf_pump_signals[SIGNALS];

/* ---- what a pump says ---- */

static void
vmf_pump_set_ended(VmfPump *self, const GError *error)
{
    gboolean before;

    g_mutex_lock(&self->lock);
    before = self->ended;
    self->ended = TRUE;
    g_cond_broadcast(&self->ended_cond);
    g_mutex_unlock(&self->lock);
    if (before)
        return;
    (void)g_unlink(self->socket_path);
    g_signal_emit(self, vmf_pump_signals[SIGNAL_ENDED], 0, error);
}

static void
vmf_pump_on_ended(VmfBusPump *proxy, const char *name, const char *message, GVariant *statistics,
                  VmfPump *self)
{
    g_autoptr(GError) error = NULL;

    if (*name)
        error = g_error_new_literal(VMF_ERROR, (int)vmf_error_from_name(name), message);
    g_signal_emit(self, vmf_pump_signals[SIGNAL_STATISTICS], 0, statistics);
    vmf_pump_set_ended(self, error);
}

/* Numbers ascend; what was adopted may be told twice. */
static void
vmf_pump_on_wanted(VmfBusPump *proxy, guint channel, const char *kind, VmfPump *self)
{
    if (channel <= self->wanted)
        return;
    self->wanted = channel;
    g_signal_emit(self, vmf_pump_signals[SIGNAL_WANTED], 0, channel, kind);
}

static void
vmf_pump_on_statistics(VmfBusPump *proxy, GParamSpec *spec, VmfPump *self)
{
    GVariant *statistics = vmf_bus_pump_get_statistics(proxy);

    if (statistics)
        g_signal_emit(self, vmf_pump_signals[SIGNAL_STATISTICS], 0, statistics);
}

static void
vmf_pump_on_lost_links(VmfBusPump *proxy, GParamSpec *spec, VmfPump *self)
{
    GVariant *lost = vmf_bus_pump_get_lost_links(proxy);

    if (lost && !vmf_pump_has_ended(self))
        g_signal_emit(self, vmf_pump_signals[SIGNAL_LOST_LINKS], 0, lost);
}

static void
vmf_pump_on_closed(GDBusConnection *connection, gboolean remote_vanished, GError *why,
                   VmfPump *self)
{
    g_autoptr(GError) error =
        g_error_new(VMF_ERROR, VMF_ERROR_PUMP_FAILED,
                    "vmferry-pump at the %s died; its last words are in vmferryd's log there",
                    self->side == VMF_PUMP_SOURCE ? "source" : "destination");

    vmf_pump_set_ended(self, error);
}

/* ---- starting one ---- */

static GSocket *
vmf_pump_listen(const char *path, GError **error)
{
    g_autoptr(GSocket) socket =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);

    (void)g_unlink(path);
    if (!socket || !g_socket_bind(socket, address, FALSE, error) || g_chmod(path, 0600) != 0 ||
        !g_socket_listen(socket, error)) {
        if (error && !*error)
            g_set_error(error, VMF_ERROR, VMF_ERROR_PUMP_FAILED, "%s: %s", path, g_strerror(errno));
        return NULL;
    }
    return g_steal_pointer(&socket);
}

/* One that ended already has no number any more, and what has it now is another one. */
static void
vmf_pump_identify(VmfPump *self)
{
    const char *pid = g_subprocess_get_identifier(self->process);

    if (pid)
        (void)vmf_process_id_get((pid_t)g_ascii_strtoll(pid, NULL, 10), &self->process_id);
    if (!g_subprocess_get_identifier(self->process))
        self->process_id = (VmfProcessId){0};
}

/*
 * Descriptors that are not closed by exec are inherited, and the pump closes them: to have them
 * closed between fork and exec, GLib must fork, which copies page tables and keeps every other
 * thread from malloc meanwhile, for tenths of a second on a busy host. Without, it takes
 * posix_spawn().
 */
static gboolean
vmf_pump_launch(VmfPump *self, const VmfConfig *config, GSocket *control, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_INHERIT_FDS);
    g_autofree char *fd = g_strdup_printf("%d", VMF_PUMP_CONTROL_FD);

    g_subprocess_launcher_take_fd(launcher, fcntl(g_socket_get_fd(control), F_DUPFD_CLOEXEC, 0),
                                  VMF_PUMP_CONTROL_FD);
    self->process = g_subprocess_launcher_spawn(launcher, error, config->pump_path, "--control-fd",
                                                fd, "--user", config->pump_user, NULL);
    if (!self->process)
        return FALSE;
    vmf_pump_identify(self);
    return TRUE;
}

static gboolean
vmf_pump_connect(VmfPump *self, GCancellable *cancellable, GError **error)
{
    g_autofree char *escaped = g_dbus_address_escape_value(self->socket_path);
    g_autofree char *address = g_strdup_printf("unix:path=%s", escaped);

    self->connection = g_dbus_connection_new_for_address_sync(
        address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, cancellable, error);
    if (!self->connection)
        return FALSE;
    /* No thread-default context in a worker, so signals come on the main loop. */
    self->proxy = vmf_bus_pump_proxy_new_sync(self->connection, G_DBUS_PROXY_FLAGS_NONE, NULL,
                                              VMF_PUMP_OBJECT, cancellable, error);
    if (!self->proxy)
        return FALSE;
    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(self->proxy), VMF_PUMP_CALL_TIMEOUT);
    g_signal_connect_object(self->proxy, "ended", G_CALLBACK(vmf_pump_on_ended), self, 0);
    g_signal_connect_object(self->proxy, "channel-wanted", G_CALLBACK(vmf_pump_on_wanted), self, 0);
    g_signal_connect_object(self->proxy, "notify::statistics", G_CALLBACK(vmf_pump_on_statistics),
                            self, 0);
    g_signal_connect_object(self->proxy, "notify::lost-links", G_CALLBACK(vmf_pump_on_lost_links),
                            self, 0);
    g_signal_connect_object(self->connection, "closed", G_CALLBACK(vmf_pump_on_closed), self, 0);
    return TRUE;
}

void
vmf_pump_get_share(const VmfAgreement *agreement, VmfBudgetShare *ret)
{
    guint64 kept = vmf_agreement_get_number(agreement, VMF_FEATURE_RESUME, "memory");

    ret->window = vmf_agreement_get_number(agreement, VMF_FEATURE_ZSTD, "window");
    ret->kept = kept ? kept : VMF_BUDGET_KEPT_UNAGREED;
}

/* What the pump is to know of an agreement, in the words of org.vmferry1.Pump, Start. */
static GVariant *
vmf_pump_options(VmfPumpSide side, const VmfAgreement *agreement, GVariant *loadable)
{
    guint64 patience = vmf_agreement_get_number(agreement, VMF_FEATURE_RESUME, "patience");
    guint64 lanes = vmf_agreement_get_number(agreement, VMF_FEATURE_ZSTD, "lanes");
    VmfBudgetShare share;
    GVariantDict options;

    vmf_pump_get_share(agreement, &share);
    g_variant_dict_init(&options, NULL);
    g_variant_dict_insert(&options, "xbzrle", "b",
                          vmf_agreement_has(agreement, VMF_FEATURE_XBZRLE));
    g_variant_dict_insert(&options, "unchanged", "b",
                          vmf_agreement_has(agreement, VMF_FEATURE_UNCHANGED));
    g_variant_dict_insert(&options, "checksums", "b",
                          vmf_agreement_has(agreement, VMF_FEATURE_CHECKSUM));
    g_variant_dict_insert(&options, "verify", "b",
                          vmf_agreement_has(agreement, VMF_FEATURE_VERIFY));
    if (share.window > 0) {
        g_variant_dict_insert(&options, "zstd-window", "u", (guint)g_bit_storage(share.window) - 1);
        g_variant_dict_insert(&options, "zstd-lanes", "u", (guint)CLAMP(lanes, 1, VMF_LANES_MOST));
    }
    if (side == VMF_PUMP_DESTINATION && patience > 0)
        patience += VMF_PUMP_PATIENCE_MORE;
    if (patience > 0)
        g_variant_dict_insert(&options, "patience", "u",
                              (guint)MIN(patience, VMF_PUMP_PATIENCE_MAX) * 1000);
    g_variant_dict_insert(&options, "kept", "t", share.kept);
    if (loadable)
        g_variant_dict_insert_value(&options, "loadable", loadable);
    return g_variant_dict_end(&options);
}

VmfPump *
vmf_pump_spawn(const VmfConfig *config, const char *id, VmfPumpSide side,
               const uint8_t secret[VMF_TICKET_SECRET_SIZE], VmfAgreement *agreement,
               GVariant *loadable, GCancellable *cancellable, GError **error)
{
    g_autoptr(VmfPump) self = g_object_new(VMF_TYPE_PUMP, NULL);
    g_autoptr(GSocket) control = NULL;
    g_autoptr(GError) problem = NULL;
    g_autoptr(GVariant) key = g_variant_ref_sink(vmf_pump_secret(secret));
    gboolean cancelled, limited;

    self->id = g_strdup(id);
    self->side = side;
    self->socket_path = vmf_pump_socket_path(config->run_directory, id);
    control = vmf_pump_listen(self->socket_path, &problem);
    if (control && vmf_pump_launch(self, config, control, &problem)) {
        g_clear_object(&control); /* so that a pump that dies early hangs up on us */
        if (vmf_pump_connect(self, cancellable, &problem))
            vmf_bus_pump_call_start_sync(
                self->proxy, id, side == VMF_PUMP_SOURCE ? "source" : "destination", key,
                vmf_agreement_has(agreement, VMF_FEATURE_TLS),
                vmf_pump_options(side, agreement, loadable), cancellable, &problem);
    }
    if (!problem)
        return g_steal_pointer(&self);
    if (self->process) /* it would wait for its Start for ever */
        g_subprocess_force_exit(self->process);
    (void)g_unlink(self->socket_path);
    cancelled = g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    problem = vmf_error_normalize(g_steal_pointer(&problem));
    limited = g_error_matches(problem, VMF_ERROR, VMF_ERROR_LIMIT_REACHED);
    g_set_error(error, VMF_ERROR,
                cancelled ? VMF_ERROR_CANCELLED
                : limited ? VMF_ERROR_LIMIT_REACHED
                          : VMF_ERROR_PUMP_FAILED,
                "cannot start %s: %s%s", config->pump_path, problem->message,
                self->process ? "; what it says is in vmferryd's log" : "");
    return NULL;
}

/* ---- one that is there ---- */

VmfPump *
vmf_pump_adopt(const VmfConfig *config, const char *id, VmfPumpSide side,
               const VmfProcessId *process, GCancellable *cancellable, GError **error)
{
    g_autoptr(VmfPump) self = g_object_new(VMF_TYPE_PUMP, NULL);
    g_autoptr(GError) problem = NULL;

    self->id = g_strdup(id);
    self->side = side;
    self->process_id = *process;
    self->socket_path = vmf_pump_socket_path(config->run_directory, id);
    if ((process->pid == 0 || vmf_process_id_lives(process)) &&
        vmf_pump_connect(self, cancellable, &problem))
        return g_steal_pointer(&self);
    if (!vmf_process_id_lives(process)) {
        (void)g_unlink(self->socket_path);
        return NULL;
    }
    problem = vmf_error_normalize(g_steal_pointer(&problem));
    g_set_error(error, VMF_ERROR, VMF_ERROR_PUMP_FAILED, "its vmferry-pump does not answer: %s",
                problem->message);
    return NULL;
}

static gboolean
vmf_pump_tell(gpointer data)
{
    VmfPump *self = data;
    GVariant *wanted = vmf_bus_pump_get_wanted_channels(self->proxy);
    GVariantIter iter;
    guint channel;
    const char *kind;

    vmf_pump_on_statistics(self->proxy, NULL, self);
    vmf_pump_on_lost_links(self->proxy, NULL, self);
    if (wanted) {
        g_variant_iter_init(&iter, wanted);
        while (g_variant_iter_next(&iter, "(u&s)", &channel, &kind))
            vmf_pump_on_wanted(self->proxy, channel, kind, self);
    }
    if (g_dbus_connection_is_closed(self->connection)) /* before its signal was connected */
        vmf_pump_on_closed(self->connection, TRUE, NULL, self);
    return G_SOURCE_REMOVE;
}

void
vmf_pump_tell_again(VmfPump *self)
{
    g_main_context_invoke_full(NULL, G_PRIORITY_DEFAULT, vmf_pump_tell, g_object_ref(self),
                               g_object_unref);
}

void
vmf_pump_get_process(VmfPump *self, VmfProcessId *ret)
{
    *ret = self->process_id;
}

gboolean
vmf_pump_was_linked(VmfPump *self)
{
    const char *state = vmf_bus_pump_get_state(self->proxy);

    return g_strcmp0(state, "waiting") != 0 && g_strcmp0(state, "started") != 0;
}

/* ---- its end ---- */

gboolean
vmf_pump_wait_ended(VmfPump *self, guint milliseconds)
{
    gint64 until = g_get_monotonic_time() + (gint64)milliseconds * 1000;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    while (!self->ended)
        if (!g_cond_wait_until(&self->ended_cond, &self->lock, until))
            return FALSE;
    return TRUE;
}

gboolean
vmf_pump_has_ended(VmfPump *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    return self->ended;
}

static void
vmf_pump_finalize(GObject *object)
{
    VmfPump *self = VMF_PUMP(object);

    g_clear_object(&self->proxy);
    g_clear_object(&self->connection);
    g_clear_object(&self->process);
    g_free(self->id);
    g_free(self->socket_path);
    g_mutex_clear(&self->lock);
    g_cond_clear(&self->ended_cond);
    G_OBJECT_CLASS(vmf_pump_parent_class)->finalize(object);
}

static void
vmf_pump_class_init(VmfPumpClass *class)
{
    GType type = G_TYPE_FROM_CLASS(class);

    G_OBJECT_CLASS(class)->finalize = vmf_pump_finalize;
    vmf_pump_signals[SIGNAL_WANTED] =
        g_signal_new("channel-wanted", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2,
                     G_TYPE_UINT, G_TYPE_STRING);
    vmf_pump_signals[SIGNAL_STATISTICS] = g_signal_new(
        "statistics", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_VARIANT);
    vmf_pump_signals[SIGNAL_LOST_LINKS] = g_signal_new(
        "lost-links", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_VARIANT);
    vmf_pump_signals[SIGNAL_ENDED] = g_signal_new("ended", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                                  NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
vmf_pump_init(VmfPump *self)
{
    g_mutex_init(&self->lock);
    g_cond_init(&self->ended_cond);
}
