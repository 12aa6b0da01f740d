/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/external.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/job-watch.h"
#include "daemon/order.h"
#include "daemon/policies.h"
#include "daemon/steering.h"
#include "xml/domain.h"

struct VmfExternal {
    VmfDaemon *daemon;
    GHashTable *looking;   /* uuids that are being looked at */
    GHashTable *strangers; /* VmfStranger, running */
};

/* One migration of somebody else's. */
typedef struct {
    VmfExternal *external;
    VmfDaemon *daemon;
    VmfMigration *migration;
    VmfJobWatch *watch;
    VmfSteering *steering; /* NULL: the policy does not want it */
} VmfStranger;

/* What is found out about it, in a thread. */
typedef struct {
    VmfExternal *external;
    char *uuid;
    char *uri;
    char *name;
    char *xml;
    VmfJob job;
    guint64 downtime; /* ms */
    guint64 cache;    /* bytes */
} VmfLook;

static void
vmf_look_free(gpointer data)
{
    VmfLook *look = data;

    g_free(look->uuid);
    g_free(look->uri);
    g_free(look->name);
    free(look->xml); /* libvirt's own allocation */
    g_free(look);
}

/* ---- while it runs ---- */

static void
vmf_stranger_free(gpointer data)
{
    VmfStranger *self = data;

    vmf_job_watch_stop(self->watch);
    g_clear_pointer(&self->steering, vmf_steering_free);
    g_signal_handlers_disconnect_by_data(vmf_daemon_get_libvirt(self->daemon), self);
    g_signal_handlers_disconnect_by_data(self->migration, self);
    g_object_unref(self->migration);
    g_free(self);
}

static void
vmf_stranger_end(VmfStranger *self, const GError *error)
{
    vmf_migration_finish(self->migration, error);
    g_hash_table_remove(self->external->strangers, self);
}

static void
vmf_stranger_fail(VmfStranger *self)
{
    g_autoptr(GError) error =
        g_error_new_literal(VMF_ERROR, VMF_ERROR_LIBVIRT_FAILED,
                            "libvirt's migration ended early; who started it knows why. The guest "
                            "runs on at the source");

    vmf_stranger_end(self, error);
}

static gboolean
vmf_stranger_is(VmfStranger *self, const char *uuid)
{
    return g_str_equal(uuid, vmf_migration_get_uuid(self->migration));
}

static void
vmf_stranger_on_lifecycle(VmfLibvirt *libvirt, const char *uuid, int event, int detail,
                          VmfStranger *self)
{
    g_autoptr(GError) error = NULL;

    if (!vmf_stranger_is(self, uuid))
        return;
    if (event == VIR_DOMAIN_EVENT_STOPPED && detail == VIR_DOMAIN_EVENT_STOPPED_MIGRATED) {
        vmf_stranger_end(self, NULL);
    } else if (event == VIR_DOMAIN_EVENT_STOPPED) {
        error = g_error_new_literal(VMF_ERROR, VMF_ERROR_LIBVIRT_FAILED,
                                    "the guest ended during the migration");
        vmf_stranger_end(self, error);
    } else if (event == VIR_DOMAIN_EVENT_RESUMED &&
               vmf_migration_get_state(self->migration) == VMF_STATE_SWITCHING) {
        vmf_stranger_fail(self);
    }
}

/* A job that ended without the guest's leaving has no event of its own. */
static void
vmf_stranger_on_job(const VmfJob *job, gpointer data)
{
    VmfStranger *self = data;

    if (job->active) {
        if (self->steering)
            vmf_steering_on_job(job, self->steering);
        return;
    }
    if (vmf_migration_get_state(self->migration) != VMF_STATE_RUNNING)
        return; /* it is about to leave */
    vmf_stranger_fail(self);
}

static void
vmf_stranger_on_cancel(VmfMigration *migration, VmfStranger *self)
{
    vmf_order_give(vmf_daemon_get_libvirt(self->daemon),
                   vmf_daemon_get_config(self->daemon)->libvirt_uri, migration, vmf_order_abort, 0,
                   "aborting, as asked for");
}

static void
vmf_stranger_steer(VmfStranger *self, const VmfLook *look)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDomainXml) domain = vmf_domain_xml_parse(look->xml, NULL);
    VmfChosenPolicy *policy =
        vmf_policies_choose(vmf_daemon_get_policies(self->daemon), look->xml, NULL, TRUE, &error);
    VmfSteeringSetup setup = {
        .migration = self->migration,
        .libvirt = vmf_daemon_get_libvirt(self->daemon),
        .libvirt_uri = vmf_daemon_get_config(self->daemon)->libvirt_uri,
        .policy = policy,
        .start = {.ram = domain ? domain->memory : 0,
                  .native = TRUE,
                  .fixed = TRUE, /* QEMU takes a new size, and goes on with the old one */
                  .cache = look->job.cache_size > 0,
                  .cache_size = look->job.cache_size,
                  .cache_most = G_MAXUINT64,
                  .downtime = (guint)look->downtime,
                  .postcopy = FALSE},
    };

    if (!policy)
        vmf_warn(vmf_migration_get_id(self->migration), "%s", error->message);
    else if (policy->policy.ways & VMF_WAY_NATIVE)
        self->steering = vmf_steering_new(&setup); /* whose word on progress counts from now on */
    else
        vmf_chosen_policy_free(policy);
}

static void
vmf_stranger_begin(const VmfLook *look)
{
    VmfDaemon *daemon = look->external->daemon;
    VmfLibvirt *libvirt = vmf_daemon_get_libvirt(daemon);
    g_autofree char *id = g_uuid_string_random();
    VmfMigrationInit init = {.id = id,
                             .domain = look->name,
                             .uuid = look->uuid,
                             .peer = "",
                             .engine = "native",
                             .origin = "external",
                             .outgoing = TRUE};
    g_autoptr(GError) error = NULL;
    VmfStranger *self;

    id[8] = '\0';
    self = g_new0(VmfStranger, 1);
    self->external = look->external;
    self->daemon = daemon;
    self->migration = vmf_migration_new(&init);
    if (!vmf_daemon_add_migration(daemon, self->migration, &error)) {
        vmf_info(NULL, "a migration of '%s' is not shown: %s", look->name, error->message);
        g_object_unref(self->migration);
        g_free(self);
        return;
    }
    g_hash_table_add(self->external->strangers, self);
    vmf_info(id, "guest '%s' is being migrated by somebody else", look->name);
    vmf_migration_set_state(self->migration, VMF_STATE_RUNNING);
    self->watch =
        vmf_job_watch_start(self->migration, libvirt, vmf_daemon_get_config(daemon)->libvirt_uri);
    g_signal_connect(libvirt, "lifecycle", G_CALLBACK(vmf_stranger_on_lifecycle), self);
    g_signal_connect(self->migration, "cancel", G_CALLBACK(vmf_stranger_on_cancel), self);
    vmf_stranger_steer(self, look);
    vmf_job_watch_set_listener(self->watch, vmf_stranger_on_job, self);
    if (!self->steering)
        return;
    vmf_migration_note_outlook(self->migration, 0, -1);
    vmf_steering_on_job(&look->job, self->steering);
}

/* ---- noticing ---- */

static void
vmf_look_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfLook *look = data;
    g_autoptr(virConnect) connection = vmf_libvirt_open(look->uri, NULL);
    g_autoptr(virDomain) domain = NULL;
    unsigned long long downtime = 0;

    if (connection)
        domain = virDomainLookupByUUIDString(connection, look->uuid);
    if (domain && vmf_job_read(domain, &look->job) && look->job.migration) {
        look->name = g_strdup(virDomainGetName(domain));
        look->xml = virDomainGetXMLDesc(domain, 0);
        if (virDomainMigrateGetMaxDowntime(domain, &downtime, 0) == 0)
            look->downtime = downtime;
    }
    g_task_return_boolean(task, look->xml != NULL);
}

static void
vmf_look_done(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfLook *look = g_task_get_task_data(G_TASK(result));
    VmfDaemon *daemon = look->external->daemon;

    g_hash_table_remove(look->external->looking, look->uuid);
    if (g_task_propagate_boolean(G_TASK(result), NULL) &&
        !vmf_daemon_is_migrating(daemon, look->uuid))
        vmf_stranger_begin(look);
}

static void
vmf_external_on_iteration(VmfLibvirt *libvirt, const char *uuid, int iteration, VmfExternal *self)
{
    g_autoptr(GTask) task = NULL;
    VmfLook *look;

    if (iteration < 1 || vmf_daemon_is_migrating(self->daemon, uuid) ||
        !g_hash_table_add(self->looking, g_strdup(uuid)))
        return;
    look = g_new0(VmfLook, 1);
    look->external = self;
    look->uuid = g_strdup(uuid);
    look->uri = g_strdup(vmf_daemon_get_config(self->daemon)->libvirt_uri);
    task = g_task_new(NULL, NULL, vmf_look_done, NULL);
    g_task_set_task_data(task, look, vmf_look_free);
    vmf_workers_run(vmf_libvirt_get_workers(libvirt), task, vmf_look_thread);
}

void
vmf_external_yield(VmfExternal *self, const char *uuid)
{
    GHashTableIter iter;
    gpointer stranger;

    g_hash_table_iter_init(&iter, self->strangers);
    while (g_hash_table_iter_next(&iter, &stranger, NULL)) {
        if (!vmf_stranger_is(stranger, uuid))
            continue;
        vmf_daemon_forget_migration(self->daemon, ((VmfStranger *)stranger)->migration);
        g_hash_table_iter_remove(&iter);
    }
}

VmfExternal *
vmf_external_new(VmfDaemon *daemon)
{
    VmfExternal *self = g_new0(VmfExternal, 1);

    self->daemon = daemon;
    self->looking = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    self->strangers = g_hash_table_new_full(NULL, NULL, vmf_stranger_free, NULL);
    g_signal_connect(vmf_daemon_get_libvirt(daemon), "iteration",
                     G_CALLBACK(vmf_external_on_iteration), self);
    return self;
}

void
vmf_external_free(VmfExternal *self)
{
    g_signal_handlers_disconnect_by_data(vmf_daemon_get_libvirt(self->daemon), self);
    g_hash_table_unref(self->strangers);
    g_hash_table_unref(self->looking);
    g_free(self);
}
