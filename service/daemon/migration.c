/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/migration-private.h"

#include "base/error.h"
#include "base/log.h"
#include "policy/decision.h"

G_DEFINE_FINAL_TYPE(VmfMigration, vmf_migration, G_TYPE_OBJECT)

enum {
    SIGNAL_CANCEL,
    SIGNAL_POSTCOPY,
    SIGNAL_BANDWIDTH,
    SIGNAL_DELTA,
    SIGNAL_DOWNTIME,
    SIGNAL_JOB,
    SIGNAL_STATISTICS,
    SIGNAL_STATE,
    SIGNAL_KEPT,
    SIGNAL_FINISHED,
    SIGNALS
};

static guint vmf_migration_signals[SIGNALS];

static const char *const vmf_state_names[] = {"preparing", "running", "switching", "postcopy",
                                              "completed", "failed",  "cancelled"};

gboolean
vmf_migration_id_is_valid(const char *id)
{
    gsize length = strlen(id);

    return length >= 8 && length <= 36 && strspn(id, "0123456789abcdef-") == length;
}

const char *
vmf_migration_get_id(VmfMigration *self)
{
    return self->id;
}

const char *
vmf_migration_get_domain(VmfMigration *self)
{
    return self->domain;
}

const char *
vmf_migration_get_uuid(VmfMigration *self)
{
    return self->uuid;
}

const char *
vmf_migration_get_peer(VmfMigration *self)
{
    return self->peer;
}

const char *
vmf_migration_get_origin(VmfMigration *self)
{
    return vmf_bus_migration_get_origin(self->bus);
}

gboolean
vmf_migration_is_led_by_us(VmfMigration *self)
{
    return g_str_equal(vmf_bus_migration_get_origin(self->bus), "vmferry");
}

gboolean
vmf_migration_is_outgoing(VmfMigration *self)
{
    return g_str_equal(vmf_bus_migration_get_direction(self->bus), "out");
}

gint64
vmf_migration_get_started(VmfMigration *self)
{
    guint64 started = 0;

    g_object_get(self->bus, "started", &started, NULL);
    return (gint64)started;
}

void
vmf_migration_note_memory(VmfMigration *self, guint64 memory)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    self->memory = memory;
}

guint64
vmf_migration_get_memory(VmfMigration *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    return self->memory;
}

GDBusObjectSkeleton *
vmf_migration_get_object(VmfMigration *self)
{
    return G_DBUS_OBJECT_SKELETON(self->object);
}

VmfState
vmf_migration_get_state(VmfMigration *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    return self->state;
}

gboolean
vmf_migration_is_finished(VmfMigration *self)
{
    return vmf_migration_get_state(self) >= VMF_STATE_COMPLETED;
}

gboolean
vmf_migration_parse_state(const char *name, VmfState *ret)
{
    for (guint i = 0; i < VMF_STATE_COMPLETED; i++)
        if (g_str_equal(name, vmf_state_names[i])) {
            *ret = (VmfState)i;
            return TRUE;
        }
    *ret = VMF_STATE_RUNNING;
    return g_str_equal(name, "stalled");
}

/* Forward only; TRUE when it is a change. */
static gboolean
vmf_migration_advance(VmfMigration *self, VmfState state)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (state <= self->state || self->state >= VMF_STATE_COMPLETED)
        return FALSE;
    self->state = state;
    if (state == VMF_STATE_COMPLETED)
        self->progress = 1;
    return TRUE;
}

static gboolean
vmf_migration_emit_state(gpointer data)
{
    g_signal_emit(data, vmf_migration_signals[SIGNAL_STATE], 0);
    return G_SOURCE_REMOVE;
}

static void
vmf_migration_show_state(VmfMigration *self)
{
    VmfState state;
    gboolean stalled;

    g_mutex_lock(&self->lock);
    state = self->state;
    stalled = self->stalled && state < VMF_STATE_COMPLETED;
    g_mutex_unlock(&self->lock);
    vmf_bus_migration_set_state(self->bus, stalled ? "stalled" : vmf_state_names[state]);
}

void
vmf_migration_set_state(VmfMigration *self, VmfState state)
{
    if (!vmf_migration_advance(self, state))
        return;
    vmf_migration_show_state(self);
    g_main_context_invoke_full(NULL, G_PRIORITY_DEFAULT, vmf_migration_emit_state,
                               g_object_ref(self), g_object_unref);
}

void
vmf_migration_set_stalled(VmfMigration *self, gboolean stalled)
{
    gboolean before;

    g_mutex_lock(&self->lock);
    before = self->stalled;
    self->stalled = stalled && self->state < VMF_STATE_COMPLETED;
    stalled = self->stalled;
    g_mutex_unlock(&self->lock);
    if (before == stalled)
        return;
    if (stalled)
        vmf_bus_migration_set_stalls(self->bus, vmf_bus_migration_get_stalls(self->bus) + 1);
    vmf_bus_migration_set_stalled_since(self->bus, stalled ? (guint64)g_get_real_time() : 0);
    vmf_bus_migration_set_tries(self->bus, 0);
    vmf_migration_show_state(self);
}

gboolean
vmf_migration_is_stalled(VmfMigration *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    return self->stalled;
}

void
vmf_migration_note_try(VmfMigration *self)
{
    vmf_bus_migration_set_tries(self->bus, vmf_bus_migration_get_tries(self->bus) + 1);
}

void
vmf_migration_set_findings(VmfMigration *self, GVariant *findings)
{
    vmf_bus_migration_set_findings(self->bus, findings);
}

/* Nothing of ours carries it. */
static gboolean
vmf_engine_is_libvirts(const char *engine)
{
    return g_strcmp0(engine, "native") == 0 || g_strcmp0(engine, "plain") == 0;
}

void
vmf_migration_set_engine(VmfMigration *self, const char *engine, const char *reason,
                         gboolean encrypted)
{
    g_atomic_int_set(&self->native, vmf_engine_is_libvirts(engine));
    vmf_bus_migration_set_engine(self->bus, engine);
    vmf_bus_migration_set_engine_reason(self->bus, reason);
    vmf_bus_migration_set_encrypted(self->bus, encrypted);
}

char *
vmf_migration_dup_engine(VmfMigration *self)
{
    char *engine = NULL;

    g_object_get(self->bus, "engine", &engine, NULL);
    return engine;
}

static gboolean
vmf_migration_emit_finished(gpointer data)
{
    g_signal_emit(data, vmf_migration_signals[SIGNAL_FINISHED], 0);
    return G_SOURCE_REMOVE;
}

void
vmf_migration_finish(VmfMigration *self, const GError *error)
{
    VmfState state = !error                                                   ? VMF_STATE_COMPLETED
                     : g_error_matches(error, VMF_ERROR, VMF_ERROR_CANCELLED) ? VMF_STATE_CANCELLED
                                                                              : VMF_STATE_FAILED;

    if (!vmf_migration_advance(self, state))
        return;
    if (error) {
        VmfError code = error->domain == VMF_ERROR ? (VmfError)error->code : VMF_ERROR_FAILED;

        vmf_bus_migration_set_error(self->bus,
                                    g_variant_new("(ss)", vmf_error_name(code), error->message));
        vmf_warn(self->id, "%s: %s", vmf_state_names[state], error->message);
    } else {
        vmf_bus_migration_set_progress(self->bus, 1);
        vmf_bus_migration_set_remaining(self->bus, 0);
        vmf_info(self->id, "completed");
    }
    vmf_migration_set_stalled(self, FALSE);
    vmf_bus_migration_set_expected_end(self->bus, 0);
    vmf_bus_migration_set_ended(self->bus, (guint64)g_get_real_time());
    vmf_bus_migration_set_state(self->bus, vmf_state_names[state]);
    g_main_context_invoke_full(NULL, G_PRIORITY_DEFAULT, vmf_migration_emit_finished,
                               g_object_ref(self), g_object_unref);
}

void
vmf_migration_set_decisions(VmfMigration *self, GPtrArray *decisions)
{
    gint64 epoch = g_get_real_time() - g_get_monotonic_time();
    GVariantBuilder list;

    g_variant_builder_init(&list, G_VARIANT_TYPE("a(tsss)"));
    for (guint i = 0; i < decisions->len; i++) {
        const VmfDecision *decision = decisions->pdata[i];

        g_variant_builder_add(&list, "(tsss)", (guint64)(epoch + decision->time), decision->rule,
                              decision->what, decision->numbers);
    }
    vmf_bus_migration_set_decisions(self->bus, g_variant_builder_end(&list));
}

GVariant *
vmf_migration_get_decisions(VmfMigration *self)
{
    GVariant *decisions = NULL;

    g_object_get(self->bus, "decisions", &decisions, NULL);
    return decisions;
}

static void
vmf_migration_finalize(GObject *object)
{
    VmfMigration *self = VMF_MIGRATION(object);

    g_free(self->id);
    g_free(self->domain);
    g_free(self->uuid);
    g_free(self->peer);
    g_clear_object(&self->bus);
    g_clear_object(&self->object);
    g_hash_table_unref(self->kept);
    g_mutex_clear(&self->lock);
    g_cond_clear(&self->figures);
    G_OBJECT_CLASS(vmf_migration_parent_class)->finalize(object);
}

static void
vmf_migration_class_init(VmfMigrationClass *class)
{
    GType type = G_TYPE_FROM_CLASS(class);

    G_OBJECT_CLASS(class)->finalize = vmf_migration_finalize;
    vmf_migration_signals[SIGNAL_CANCEL] =
        g_signal_new("cancel", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_POSTCOPY] =
        g_signal_new("postcopy", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_BANDWIDTH] =
        g_signal_new("bandwidth", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_DELTA] =
        g_signal_new("delta", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_DOWNTIME] =
        g_signal_new("downtime", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_JOB] = g_signal_new("job", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                                     NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
    vmf_migration_signals[SIGNAL_STATISTICS] = g_signal_new(
        "statistics", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_VARIANT);
    vmf_migration_signals[SIGNAL_STATE] =
        g_signal_new("state", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_KEPT] =
        g_signal_new("kept", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_FINISHED] =
        g_signal_new("finished", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
vmf_migration_init(VmfMigration *self)
{
    g_mutex_init(&self->lock);
    g_cond_init(&self->figures);
    self->kept =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_variant_unref);
    self->bus = vmf_bus_migration_skeleton_new();
}

VmfMigration *
vmf_migration_new(const VmfMigrationInit *init)
{
    VmfMigration *self = g_object_new(VMF_TYPE_MIGRATION, NULL);
    g_autofree char *path = g_strconcat(VMF_MIGRATION_PATH, init->id, NULL);

    g_strdelimit(path, "-", '_'); /* which object paths do not have */
    self->id = g_strdup(init->id);
    self->domain = g_strdup(init->domain);
    self->uuid = g_strdup(init->uuid);
    self->peer = g_strdup(init->peer);
    self->postcopy = init->postcopy;
    self->native = vmf_engine_is_libvirts(init->engine);
    g_object_set(self->bus, "id", init->id, "domain", init->domain, "uuid", init->uuid, "peer",
                 init->peer, "direction", init->outgoing ? "out" : "in", "engine",
                 init->engine ? init->engine : "pump", "engine-reason", "", "origin",
                 init->origin ? init->origin : "vmferry", "encrypted", init->encrypted, "bandwidth",
                 init->bandwidth, "state", vmf_state_names[VMF_STATE_PREPARING], "started",
                 (guint64)g_get_real_time(), "error", g_variant_new("(ss)", "", ""), "decisions",
                 g_variant_new("a(tsss)", NULL), "findings",
                 g_variant_new_array(G_VARIANT_TYPE_VARDICT, NULL, 0), "pages",
                 g_variant_new("a{st}", NULL), "cpu-seconds", g_variant_new("a{sd}", NULL), NULL);
    vmf_bus_migration_set_downtime_allowed(self->bus, init->downtime);
    self->asked = init->delta;
    vmf_migration_grant_delta(self, &init->delta);
    self->object = vmf_bus_object_skeleton_new(path);
    vmf_bus_object_skeleton_set_migration(self->object, self->bus);
    return self;
}
