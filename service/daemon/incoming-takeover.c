/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The destination's part in a migration that an earlier vmferryd prepared; see incoming.h. */
#include "base/error.h"
#include "base/log.h"
#include "daemon/incoming-private.h"
#include "daemon/kept.h"
#include "daemon/socket-path.h"

typedef enum {
    VMF_GUEST_UNKNOWN, /* libvirt does not answer */
    VMF_GUEST_ABSENT,
    VMF_GUEST_WAITS, /* for the source, or its stream */
    VMF_GUEST_RUNS,
} VmfGuestHere;

/* What the worker found; the task's. */
typedef struct {
    VmfPump *pump; /* NULL: it is gone */
    VmfGuestHere guest;
} VmfAdopted;

static void
vmf_adopted_free(gpointer data)
{
    VmfAdopted *adopted = data;

    g_clear_object(&adopted->pump);
    g_free(adopted);
}

/* What was missed while there was no vmferryd. */
static VmfGuestHere
vmf_incoming_look(VmfIncoming *self)
{
    g_autoptr(virConnect) connection =
        vmf_libvirt_open(vmf_daemon_get_config(self->daemon)->libvirt_uri, NULL);
    g_autoptr(virDomain) domain = NULL;
    int state = 0;
    int reason = 0;

    if (!connection)
        return VMF_GUEST_UNKNOWN;
    domain = virDomainLookupByUUIDString(connection, vmf_migration_get_uuid(self->migration));
    if (!domain || virDomainIsActive(domain) == 0)
        return VMF_GUEST_ABSENT;
    if (virDomainGetState(domain, &state, &reason, 0) < 0 || state != VIR_DOMAIN_RUNNING)
        return VMF_GUEST_WAITS;
    if (reason != VIR_DOMAIN_RUNNING_POSTCOPY && reason != VIR_DOMAIN_RUNNING_POSTCOPY_FAILED)
        return VMF_GUEST_RUNS;
    vmf_migration_set_state(self->migration, VMF_STATE_POSTCOPY);
    return VMF_GUEST_WAITS;
}

static void
vmf_incoming_adopt_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfIncoming *self = data;
    VmfAdopted *adopted = g_new0(VmfAdopted, 1);
    g_autoptr(GError) error = NULL;
    guint gid;

    if (vmf_owner_get(vmf_daemon_get_owner(self->daemon), &self->uid, &gid, &error))
        adopted->pump = vmf_pump_adopt(vmf_daemon_get_config(self->daemon), vmf_incoming_id(self),
                                       VMF_PUMP_DESTINATION, &self->process, NULL, &error);
    if (error)
        vmf_warn(vmf_incoming_id(self), "%s", error->message);
    adopted->guest = vmf_incoming_look(self);
    g_task_return_pointer(task, adopted, vmf_adopted_free);
}

/* Nobody else will say it; TRUE: `verdict` holds. */
static gboolean
vmf_incoming_judge(VmfIncoming *self, const VmfAdopted *adopted, GError **verdict)
{
    gboolean preparing = vmf_migration_get_state(self->migration) == VMF_STATE_PREPARING;

    if (adopted->pump ? !vmf_pump_was_linked(adopted->pump) : preparing) {
        g_set_error_literal(verdict, VMF_ERROR, VMF_ERROR_FAILED,
                            "vmferryd was restarted before the data link came, whose ticket is "
                            "void now; begin again");
        return TRUE;
    }
    if (!adopted->pump && adopted->guest == VMF_GUEST_ABSENT)
        g_set_error(verdict, VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                    "it ended before the guest ran here, while vmferryd was away; %s knows why",
                    vmf_migration_get_peer(self->migration));
    return !adopted->pump &&
           (adopted->guest == VMF_GUEST_ABSENT || adopted->guest == VMF_GUEST_RUNS);
}

static void
vmf_incoming_adopted(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfIncoming *self = data;
    VmfAdopted *adopted = g_task_propagate_pointer(G_TASK(result), NULL);
    g_autoptr(GError) verdict = g_steal_pointer(&self->verdict);
    gboolean decided = self->decided; /* the source was quick */

    self->adopting = self->decided = FALSE;
    decided = decided || vmf_incoming_judge(self, adopted, &verdict);
    if (adopted->pump) {
        vmf_incoming_take_pump(self, g_object_ref(adopted->pump));
        vmf_pump_tell_again(adopted->pump);
    }
    vmf_adopted_free(adopted);
    if (decided)
        vmf_incoming_decide(self, verdict);
    else if (!self->pump)
        vmf_incoming_expect_verdict(self);
}

static VmfIncoming *
vmf_incoming_new_taken(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer,
                       const VmfKeptIncoming *kept)
{
    VmfIncoming *self = g_new0(VmfIncoming, 1);
    const char *origin = vmf_migration_get_origin(migration);

    self->daemon = daemon;
    self->migration = g_object_ref(migration);
    self->peer = g_object_ref(peer);
    self->agreement = vmf_agreement_ref(kept->agreement);
    self->dname = g_strdup(kept->name);
    self->resume = kept->resume;
    self->external = !vmf_migration_is_led_by_us(migration);
    self->captured = g_str_equal(origin, "capture");
    self->adopting = TRUE;
    return self;
}

gboolean
vmf_incoming_take_over(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer,
                       GVariant *sections, GError **error)
{
    const char *id = vmf_migration_get_id(migration);
    g_autoptr(VmfKeptIncoming) kept = vmf_kept_get_incoming(sections, id, error);
    g_autofree char *path = NULL;
    g_autoptr(GTask) task = NULL;
    VmfProcessId process;
    VmfIncoming *self;

    if (!kept || !vmf_kept_get_pump(sections, &process, error))
        return FALSE;
    path = vmf_socket_path(vmf_daemon_get_config(daemon)->run_directory,
                           vmf_agreement_get_destination(kept->agreement),
                           vmf_migration_get_domain(migration));
    if (!path || !vmf_peer_name_is_valid(vmf_agreement_get_destination(kept->agreement))) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                            "Destination is not sensible");
        return FALSE;
    }
    self = vmf_incoming_new_taken(daemon, migration, peer, kept);
    self->path = g_steal_pointer(&path);
    self->process = process;
    vmf_incoming_listen(self);
    vmf_daemon_add_incoming(daemon, id, self);
    task = g_task_new(NULL, NULL, vmf_incoming_adopted, self);
    g_task_set_task_data(task, self, NULL);
    vmf_workers_run(vmf_daemon_get_workers(daemon), task, vmf_incoming_adopt_thread);
    return TRUE;
}
