/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/order.h"

#include "base/error.h"
#include "base/log.h"

typedef struct {
    VmfMigration *migration;
    char *uri;
    VmfOrderFunc call;
    guint64 value;
    const char *what;
} VmfOrder;

static void
vmf_order_free(gpointer data)
{
    VmfOrder *order = data;

    g_object_unref(order->migration);
    g_free(order->uri);
    g_free(order);
}

static void
vmf_order_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const VmfOrder *order = data;
    const char *id = vmf_migration_get_id(order->migration);
    g_autoptr(GError) error = NULL;
    g_autoptr(virConnect) connection = vmf_libvirt_open(order->uri, &error);
    g_autoptr(virDomain) domain = NULL;

    if (connection)
        domain = virDomainLookupByUUIDString(connection, vmf_migration_get_uuid(order->migration));
    if (connection && (!domain || order->call(domain, order->value) < 0))
        vmf_libvirt_set_error(&error, VMF_ERROR_LIBVIRT_FAILED, order->what);
    if (error && !vmf_migration_is_finished(order->migration))
        vmf_warn(id, "%s", error->message);
    g_task_return_boolean(task, error == NULL);
}

void
vmf_order_give(VmfLibvirt *libvirt, const char *libvirt_uri, VmfMigration *migration,
               VmfOrderFunc call, guint64 value, const char *what)
{
    VmfOrder *order = g_new0(VmfOrder, 1);
    g_autoptr(GTask) task = g_task_new(NULL, NULL, NULL, NULL);

    order->migration = g_object_ref(migration);
    order->uri = g_strdup(libvirt_uri);
    order->call = call;
    order->value = value;
    order->what = what;
    vmf_info(vmf_migration_get_id(migration), "%s", what);
    g_task_set_task_data(task, order, vmf_order_free);
    vmf_workers_run(vmf_libvirt_get_workers(libvirt), task, vmf_order_thread);
}

int
vmf_order_postcopy(virDomainPtr domain, guint64 unused)
{
    return virDomainMigrateStartPostCopy(domain, 0);
}

int
vmf_order_suspend(virDomainPtr domain, guint64 unused)
{
    return virDomainSuspend(domain);
}

int
vmf_order_abort(virDomainPtr domain, guint64 unused)
{
    return virDomainAbortJob(domain);
}
