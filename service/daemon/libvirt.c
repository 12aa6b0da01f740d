/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/libvirt.h"

#include <libvirt-glib/libvirt-glib-event.h>
#include <libvirt/virterror.h>

#include "base/error.h"
#include "base/log.h"

/* How long to wait before libvirtd is tried again, ms: doubles up to the second. */
#define VMF_RETRY_FIRST 100
#define VMF_RETRY_LAST 5000

/* libvirtd that does not answer for interval × count seconds is taken for gone. */
#define VMF_KEEPALIVE_INTERVAL 5
#define VMF_KEEPALIVE_COUNT 5

struct _VmfLibvirt {
    GObject parent_instance;

    char *uri;
    VmfWorkers *workers;
    virConnectPtr connection; /* for events; NULL while away */
    int callbacks[3];
    gboolean started;
    guint retry_source;
    guint retry_delay;
    GMutex lock;         /* for `running` */
    GHashTable *running; /* uuids seen running since they came to this host */
};

G_DEFINE_FINAL_TYPE(VmfLibvirt, vmf_libvirt, G_TYPE_OBJECT)

enum { SIGNAL_CONNECTED, SIGNAL_LIFECYCLE, SIGNAL_ITERATION, SIGNAL_JOB_COMPLETED, SIGNALS };

static guint vmf_libvirt_signals[SIGNALS];

static void vmf_libvirt_connect(VmfLibvirt *self);

void
vmf_libvirt_set_error(GError **error, int code, const char *what)
{
    const virError *last = virGetLastError();

    g_set_error(error, VMF_ERROR, code, "%s: %s", what,
                last && last->message ? last->message : "unknown libvirt error");
}

static void
vmf_libvirt_quiet(void *data, virErrorPtr error)
{
    /* libvirt would print every error itself; ours are logged by who handles them. */
}

virConnectPtr
vmf_libvirt_open(const char *uri, GError **error)
{
    virConnectPtr connection = virConnectOpen(uri);

    if (!connection) {
        g_autofree char *what = g_strdup_printf("libvirt at %s does not answer", uri);

        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_UNAVAILABLE, what);
        return NULL;
    }
    /* Drivers inside the process have no connection to keep alive. */
    (void)virConnectSetKeepAlive(connection, VMF_KEEPALIVE_INTERVAL, VMF_KEEPALIVE_COUNT);
    return connection;
}

void
vmf_job_parse(VmfJob *job, virTypedParameterPtr params, int n)
{
    const struct {
        const char *name;
        guint64 *value;
    } fields[] = {
        {VIR_DOMAIN_JOB_DATA_TOTAL, &job->data_total},
        {VIR_DOMAIN_JOB_DATA_PROCESSED, &job->data_processed},
        {VIR_DOMAIN_JOB_DATA_REMAINING, &job->data_remaining},
        {VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, &job->dirty_rate},
        {VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, &job->page_size},
        {VIR_DOMAIN_JOB_MEMORY_BPS, &job->bandwidth},
        {VIR_DOMAIN_JOB_MEMORY_ITERATION, &job->iteration},
        {VIR_DOMAIN_JOB_DOWNTIME, &job->downtime},
        {VIR_DOMAIN_JOB_MEMORY_TOTAL, &job->memory_total},
        {VIR_DOMAIN_JOB_MEMORY_REMAINING, &job->memory_remaining},
        {VIR_DOMAIN_JOB_MEMORY_CONSTANT, &job->pages_zero},
        {VIR_DOMAIN_JOB_MEMORY_NORMAL, &job->pages_whole},
        {VIR_DOMAIN_JOB_COMPRESSION_CACHE, &job->cache_size},
        {VIR_DOMAIN_JOB_COMPRESSION_PAGES, &job->cache_pages},
        {VIR_DOMAIN_JOB_COMPRESSION_CACHE_MISSES, &job->cache_misses},
        {VIR_DOMAIN_JOB_COMPRESSION_OVERFLOW, &job->cache_overflows},
    };
    int operation = 0;

    memset(job, 0, sizeof *job);
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        unsigned long long value = 0;

        if (virTypedParamsGetULLong(params, n, fields[i].name, &value) == 1)
            *fields[i].value = value;
    }
    if (virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation) == 1)
        job->migration = operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
}

gboolean
vmf_job_read(virDomainPtr domain, VmfJob *job)
{
    virTypedParameterPtr params = NULL;
    int n = 0;
    int type = VIR_DOMAIN_JOB_NONE;

    memset(job, 0, sizeof *job);
    if (virDomainGetJobStats(domain, &type, &params, &n, 0) < 0)
        return FALSE;
    if (type == VIR_DOMAIN_JOB_UNBOUNDED) {
        vmf_job_parse(job, params, n);
        job->active = TRUE;
    }
    virTypedParamsFree(params, n);
    return TRUE;
}

gboolean
vmf_libvirt_has_run(VmfLibvirt *self, const char *uuid)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    return g_hash_table_contains(self->running, uuid);
}

void
vmf_libvirt_foreach_running(VmfLibvirt *self, void (*visit)(const char *uuid, gpointer data),
                            gpointer data)
{
    g_autoptr(GPtrArray) uuids = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer uuid;

    g_mutex_lock(&self->lock);
    g_hash_table_iter_init(&iter, self->running);
    while (g_hash_table_iter_next(&iter, &uuid, NULL))
        g_ptr_array_add(uuids, g_strdup(uuid));
    g_mutex_unlock(&self->lock);
    for (guint i = 0; i < uuids->len; i++)
        visit(uuids->pdata[i], data);
}

static void
vmf_libvirt_note_running(VmfLibvirt *self, const char *uuid, gboolean running)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (running)
        g_hash_table_add(self->running, g_strdup(uuid));
    else
        g_hash_table_remove(self->running, uuid);
}

static void
vmf_libvirt_on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail,
                         void *data)
{
    VmfLibvirt *self = data;
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (virDomainGetUUIDString(domain, uuid) < 0)
        return;
    /* A guest that arrives is STARTED/MIGRATED while it still waits, then RESUMED when it runs. */
    if (event == VIR_DOMAIN_EVENT_RESUMED ||
        (event == VIR_DOMAIN_EVENT_STARTED && detail != VIR_DOMAIN_EVENT_STARTED_MIGRATED))
        vmf_libvirt_note_running(self, uuid, TRUE);
    else if (event == VIR_DOMAIN_EVENT_STOPPED || event == VIR_DOMAIN_EVENT_STARTED)
        vmf_libvirt_note_running(self, uuid, FALSE);
    g_signal_emit(self, vmf_libvirt_signals[SIGNAL_LIFECYCLE], 0, uuid, event, detail);
}

static void
vmf_libvirt_on_iteration(virConnectPtr connection, virDomainPtr domain, int iteration, void *data)
{
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (virDomainGetUUIDString(domain, uuid) == 0)
        g_signal_emit(data, vmf_libvirt_signals[SIGNAL_ITERATION], 0, uuid, iteration);
}

static void
vmf_libvirt_on_job_completed(virConnectPtr connection, virDomainPtr domain,
                             virTypedParameterPtr params, int n, void *data)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    VmfJob job;

    if (virDomainGetUUIDString(domain, uuid) < 0)
        return;
    vmf_job_parse(&job, params, n);
    g_signal_emit(data, vmf_libvirt_signals[SIGNAL_JOB_COMPLETED], 0, uuid, &job);
}

/* ---- finding libvirtd, and finding it again ---- */

typedef struct {
    virConnectPtr connection;
    int callbacks[3];
} VmfOpened;

static void
vmf_opened_free(gpointer data)
{
    VmfOpened *opened = data;

    for (gsize i = 0; opened->connection && i < G_N_ELEMENTS(opened->callbacks); i++)
        if (opened->callbacks[i] >= 0)
            virConnectDomainEventDeregisterAny(opened->connection, opened->callbacks[i]);
    if (opened->connection)
        virConnectClose(opened->connection);
    g_free(opened);
}

static void
vmf_libvirt_seed_running(VmfLibvirt *self, virConnectPtr connection)
{
    virDomainPtr *domains = NULL;
    int n = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_RUNNING);
    char uuid[VIR_UUID_STRING_BUFLEN];

    for (int i = 0; i < n; i++) {
        if (virDomainGetUUIDString(domains[i], uuid) == 0)
            vmf_libvirt_note_running(self, uuid, TRUE);
        virDomainFree(domains[i]);
    }
    free(domains); /* libvirt's own allocation */
}

static void
vmf_libvirt_open_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfLibvirt *self = source;
    VmfOpened *opened = g_new0(VmfOpened, 1);
    GError *error = NULL;

    opened->connection = vmf_libvirt_open(data, &error);
    if (!opened->connection) {
        vmf_opened_free(opened);
        g_task_return_error(task, error);
        return;
    }
    opened->callbacks[0] = virConnectDomainEventRegisterAny(
        opened->connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
        VIR_DOMAIN_EVENT_CALLBACK(vmf_libvirt_on_lifecycle), g_object_ref(self), g_object_unref);
    opened->callbacks[1] = virConnectDomainEventRegisterAny(
        opened->connection, NULL, VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION,
        VIR_DOMAIN_EVENT_CALLBACK(vmf_libvirt_on_iteration), g_object_ref(self), g_object_unref);
    opened->callbacks[2] = virConnectDomainEventRegisterAny(
        opened->connection, NULL, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
        VIR_DOMAIN_EVENT_CALLBACK(vmf_libvirt_on_job_completed), g_object_ref(self),
        g_object_unref);
    vmf_libvirt_seed_running(self, opened->connection);
    g_task_return_pointer(task, opened, vmf_opened_free);
}

static void
vmf_libvirt_close_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    /* `data` is closed by the task's destructor, in this thread or when the task goes. */
    g_task_set_task_data(task, NULL, NULL);
    g_task_return_boolean(task, TRUE);
}

static void
vmf_libvirt_close_opened(VmfLibvirt *self, virConnectPtr connection, const int callbacks[3])
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, NULL, NULL);
    VmfOpened *opened = g_new0(VmfOpened, 1);

    opened->connection = connection;
    memcpy(opened->callbacks, callbacks, sizeof opened->callbacks);
    g_task_set_task_data(task, opened, vmf_opened_free);
    vmf_workers_run(self->workers, task, vmf_libvirt_close_thread);
}

void
vmf_libvirt_close(VmfLibvirt *self, virConnectPtr connection)
{
    const int none[3] = {-1, -1, -1};

    if (connection)
        vmf_libvirt_close_opened(self, connection, none);
}

static void
vmf_libvirt_drop(VmfLibvirt *self)
{
    if (!self->connection)
        return;
    vmf_libvirt_close_opened(self, g_steal_pointer(&self->connection), self->callbacks);
    g_signal_emit(self, vmf_libvirt_signals[SIGNAL_CONNECTED], 0, FALSE);
}

static gboolean
vmf_libvirt_retry(gpointer data)
{
    VmfLibvirt *self = data;

    self->retry_source = 0;
    vmf_libvirt_connect(self);
    return G_SOURCE_REMOVE;
}

static void
vmf_libvirt_retry_later(VmfLibvirt *self)
{
    if (!self->started || self->retry_source)
        return;
    self->retry_source = g_timeout_add(self->retry_delay, vmf_libvirt_retry, self);
    self->retry_delay = MIN(self->retry_delay * 2, VMF_RETRY_LAST);
}

static void
vmf_libvirt_on_close(virConnectPtr connection, int reason, void *data)
{
    VmfLibvirt *self = data;

    if (connection != self->connection)
        return;
    vmf_warn(NULL, "libvirtd at %s went away; looking for it again", self->uri);
    vmf_libvirt_drop(self);
    vmf_libvirt_retry_later(self);
}

static void
vmf_libvirt_opened(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfLibvirt *self = VMF_LIBVIRT(source);
    g_autoptr(GError) error = NULL;
    VmfOpened *opened = g_task_propagate_pointer(G_TASK(result), &error);

    if (!opened) {
        if (self->retry_delay <= VMF_RETRY_FIRST * 2) /* once, not at each try */
            vmf_warn(NULL, "%s; trying again", error->message);
        vmf_libvirt_retry_later(self);
        return;
    }
    if (!self->started) {
        vmf_opened_free(opened);
        return;
    }
    self->connection = g_steal_pointer(&opened->connection);
    memcpy(self->callbacks, opened->callbacks, sizeof self->callbacks);
    vmf_opened_free(opened);
    self->retry_delay = VMF_RETRY_FIRST;
    virConnectRegisterCloseCallback(self->connection, vmf_libvirt_on_close, self, NULL);
    vmf_info(NULL, "connected to libvirt at %s", self->uri);
    g_signal_emit(self, vmf_libvirt_signals[SIGNAL_CONNECTED], 0, TRUE);
}

static void
vmf_libvirt_connect(VmfLibvirt *self)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, vmf_libvirt_opened, NULL);

    g_task_set_task_data(task, g_strdup(self->uri), g_free);
    vmf_workers_run(self->workers, task, vmf_libvirt_open_thread);
}

void
vmf_libvirt_start(VmfLibvirt *self)
{
    self->started = TRUE;
    vmf_libvirt_connect(self);
}

void
vmf_libvirt_stop(VmfLibvirt *self)
{
    self->started = FALSE;
    g_clear_handle_id(&self->retry_source, g_source_remove);
    /* Not in vmf_libvirt_drop(): libvirt does it by itself after the callback, under a lock. */
    if (self->connection)
        virConnectUnregisterCloseCallback(self->connection, vmf_libvirt_on_close);
    vmf_libvirt_drop(self);
}

VmfWorkers *
vmf_libvirt_get_workers(VmfLibvirt *self)
{
    return self->workers;
}

gboolean
vmf_libvirt_is_connected(VmfLibvirt *self)
{
    return self->connection != NULL;
}

static void
vmf_libvirt_finalize(GObject *object)
{
    VmfLibvirt *self = VMF_LIBVIRT(object);

    g_free(self->uri);
    vmf_workers_unref(self->workers);
    g_hash_table_unref(self->running);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(vmf_libvirt_parent_class)->finalize(object);
}

static void
vmf_libvirt_class_init(VmfLibvirtClass *class)
{
    GType type = G_TYPE_FROM_CLASS(class);

    G_OBJECT_CLASS(class)->finalize = vmf_libvirt_finalize;
    vmf_libvirt_signals[SIGNAL_CONNECTED] = g_signal_new(
        "connected", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_BOOLEAN);
    vmf_libvirt_signals[SIGNAL_LIFECYCLE] =
        g_signal_new("lifecycle", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 3,
                     G_TYPE_STRING, G_TYPE_INT, G_TYPE_INT);
    vmf_libvirt_signals[SIGNAL_ITERATION] =
        g_signal_new("iteration", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2,
                     G_TYPE_STRING, G_TYPE_INT);
    vmf_libvirt_signals[SIGNAL_JOB_COMPLETED] =
        g_signal_new("job-completed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2,
                     G_TYPE_STRING, G_TYPE_POINTER);
}

static void
vmf_libvirt_init(VmfLibvirt *self)
{
    g_mutex_init(&self->lock);
    self->running = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    self->retry_delay = VMF_RETRY_FIRST;
}

VmfLibvirt *
vmf_libvirt_new(const char *uri, VmfWorkers *workers)
{
    VmfLibvirt *self = g_object_new(VMF_TYPE_LIBVIRT, NULL);

    gvir_event_register();
    virSetErrorFunc(NULL, vmf_libvirt_quiet);
    self->uri = g_strdup(uri);
    self->workers = vmf_workers_ref(workers);
    return self;
}
