/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/pilot.h"

#include "base/log.h"
#include "daemon/order.h"

struct VmfPilot {
    VmfMigration *migration;
    VmfLibvirt *libvirt;
    char *uri;
    const VmfOptions *options;
    guint timer;
    gboolean passes;   /* QEMU is at it; before, it takes no switch */
    gboolean wanted;   /* the switch to post-copy */
    gboolean switched; /* it was asked for */
};

static void
vmf_pilot_order(VmfPilot *self, VmfOrderFunc call, const char *what)
{
    vmf_order_give(self->libvirt, self->uri, self->migration, call, 0, what);
}

static void
vmf_pilot_switch(VmfPilot *self)
{
    self->wanted = TRUE;
    if (self->switched || !self->passes)
        return;
    self->switched = TRUE;
    vmf_pilot_order(self, vmf_order_postcopy, "switching to post-copy");
}

static void
vmf_pilot_on_iteration(VmfLibvirt *libvirt, const char *uuid, int iteration, VmfPilot *self)
{
    if (iteration < 1 || !g_str_equal(uuid, vmf_migration_get_uuid(self->migration)))
        return;
    self->passes = TRUE;
    if (self->wanted || (iteration >= 2 && self->options->postcopy_after_precopy))
        vmf_pilot_switch(self);
}

static void
vmf_pilot_on_switch(VmfMigration *migration, VmfPilot *self)
{
    vmf_pilot_switch(self);
}

static gboolean
vmf_pilot_on_timeout(gpointer data)
{
    VmfPilot *self = data;

    self->timer = 0;
    vmf_info(vmf_migration_get_id(self->migration), "%u s have passed", self->options->timeout);
    if (self->options->on_timeout == VMF_ON_TIMEOUT_POSTCOPY)
        vmf_pilot_switch(self);
    else if (self->options->on_timeout == VMF_ON_TIMEOUT_ABORT)
        (void)vmf_migration_request_cancel(self->migration, NULL);
    else
        vmf_pilot_order(self, vmf_order_suspend,
                        "stopping the guest, so that the rest gets through");
    return G_SOURCE_REMOVE;
}

VmfPilot *
vmf_pilot_start(VmfMigration *migration, VmfLibvirt *libvirt, const char *libvirt_uri,
                const VmfOptions *options)
{
    VmfPilot *self = g_new0(VmfPilot, 1);

    self->migration = g_object_ref(migration);
    self->libvirt = g_object_ref(libvirt);
    self->uri = g_strdup(libvirt_uri);
    self->options = options;
    self->passes = vmf_migration_get_iteration(migration) > 0; /* of one that was taken over */
    if (options->timeout)
        self->timer = g_timeout_add_seconds(options->timeout, vmf_pilot_on_timeout, self);
    if (options->postcopy) {
        g_signal_connect(libvirt, "iteration", G_CALLBACK(vmf_pilot_on_iteration), self);
        g_signal_connect(migration, "postcopy", G_CALLBACK(vmf_pilot_on_switch), self);
    }
    return self;
}

void
vmf_pilot_stop(VmfPilot *self)
{
    g_clear_handle_id(&self->timer, g_source_remove);
    g_signal_handlers_disconnect_by_data(self->libvirt, self);
    g_signal_handlers_disconnect_by_data(self->migration, self);
    g_object_unref(self->migration);
    g_object_unref(self->libvirt);
    g_free(self->uri);
    g_free(self);
}
