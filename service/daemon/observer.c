/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/observer.h"

#include "base/error.h"
#include "base/log.h"
#include "base/timer.h"
#include "daemon/dirty-rate.h"
#include "daemon/host-memory.h"
#include "daemon/policies.h"
#include "daemon/question.h"
#include "policy/decision.h"
#include "policy/plan.h"
#include "xml/domain.h"

#define VMF_SETTLE 3000    /* ms that a guest has run before it is measured */
#define VMF_AGAIN 600000   /* ms until it is measured again */
#define VMF_ASK_AGAIN 250  /* ms, when a calculation is late: libvirt has no event for its end */
#define VMF_NEXT_GUEST 500 /* ms between two guests, so that a host full of them stays quiet */

typedef struct {
    gint64 measured; /* monotonic µs; 0: never */
    gint64 due;      /* when it is measured (again) */
    VmfWorkingSet curve;
} VmfKnown;

struct VmfObserver {
    VmfDaemon *daemon;
    GHashTable *guests; /* uuid -> VmfKnown, those that run here */
    GSource *timer;     /* for the next step */
    gboolean busy;      /* a thread asks libvirt */
    gboolean gone;      /* freed as soon as it is back */

    /* the guest that is being measured; `uuid` NULL: none */
    char *uuid;
    VmfDomainXml *domain; /* NULL: not looked at yet */
    VmfChosenPolicy *policy;
    guint64 cache;        /* of QEMU */
    guint period;         /* index of vmf_dirty_rate_periods */
    gboolean calculating; /* that period */
    VmfWorkingSet curve;
};

static gboolean vmf_observer_on_timer(gpointer data);

static void
vmf_observer_wait(VmfObserver *self, guint ms)
{
    vmf_timer_clear(&self->timer);
    self->timer = vmf_timer_new(ms, vmf_observer_on_timer, self);
}

static void
vmf_observer_clear_guest(VmfObserver *self)
{
    g_clear_pointer(&self->uuid, g_free);
    g_clear_pointer(&self->domain, vmf_domain_xml_free);
    g_clear_pointer(&self->policy, vmf_chosen_policy_free);
    self->period = 0;
    self->calculating = FALSE;
    self->curve = (VmfWorkingSet){0};
}

static void
vmf_observer_leave_guest(VmfObserver *self)
{
    VmfKnown *known = g_hash_table_lookup(self->guests, self->uuid);

    if (known)
        known->due = g_get_monotonic_time() + (gint64)VMF_AGAIN * 1000;
    vmf_observer_clear_guest(self);
    vmf_observer_wait(self, VMF_NEXT_GUEST);
}

static void
vmf_observer_destroy(VmfObserver *self)
{
    vmf_timer_clear(&self->timer);
    vmf_observer_clear_guest(self);
    g_hash_table_unref(self->guests);
    g_free(self);
}

/* ---- one guest, step by step ---- */

static void vmf_observer_answered(GObject *source, GAsyncResult *result, gpointer data);

static void
vmf_observer_ask(VmfObserver *self, VmfAsk ask, guint64 value)
{
    self->busy = TRUE;
    vmf_question_ask(self->daemon, ask, self->uuid, value, vmf_observer_answered, self);
}

static void
vmf_observer_looked(VmfObserver *self, const VmfQuestion *answer)
{
    self->cache = answer->cache;
    self->domain = vmf_domain_xml_parse(answer->xml, NULL);
    self->policy =
        vmf_policies_choose(vmf_daemon_get_policies(self->daemon), answer->xml, NULL, TRUE, NULL);
    if (self->domain && self->policy && self->policy->policy.observe)
        vmf_observer_wait(self, 0);
    else
        vmf_observer_leave_guest(self);
}

/* QEMU's cache gets its size before anybody starts a migration with it. TRUE: it is under way. */
static gboolean
vmf_observer_set_cache_ahead(VmfObserver *self)
{
    g_autoptr(GPtrArray) decisions = vmf_decisions_new();
    const VmfDecision *decision;
    VmfHostMemory memory;
    VmfFacts facts;
    guint64 size;

    if (!(self->policy->policy.ways & VMF_WAY_NATIVE) || !self->cache)
        return FALSE;
    vmf_host_memory_read(&memory);
    vmf_facts_init(&facts, self->domain->memory);
    facts.source_free = memory.free;
    facts.written = self->curve;
    size = vmf_plan_native_cache(&facts, &self->policy->policy, self->cache, g_get_monotonic_time(),
                                 decisions);
    if (decisions->len == 0)
        return FALSE;
    decision = decisions->pdata[0];
    vmf_info(NULL, "guest '%s': %s: %s (%s)", self->domain->name, decision->rule, decision->what,
             decision->numbers);
    vmf_observer_ask(self, VMF_ASK_CACHE, size);
    return TRUE;
}

static void
vmf_observer_measured(VmfObserver *self, const VmfQuestion *answer)
{
    VmfKnown *known = g_hash_table_lookup(self->guests, self->uuid);

    if (!answer->done) {
        vmf_observer_wait(self, VMF_ASK_AGAIN);
        return;
    }
    vmf_working_set_add(&self->curve, answer->seconds, (double)answer->bytes);
    self->calculating = FALSE;
    if (vmf_dirty_rate_periods[++self->period]) {
        vmf_observer_wait(self, 0);
        return;
    }
    if (known) {
        known->curve = self->curve;
        known->measured = g_get_monotonic_time();
    }
    if (!vmf_observer_set_cache_ahead(self))
        vmf_observer_leave_guest(self);
}

static void
vmf_observer_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfObserver *self = data;
    const VmfQuestion *answer = g_task_get_task_data(G_TASK(result));
    g_autoptr(GError) error = NULL;

    (void)g_task_propagate_boolean(G_TASK(result), &error);
    self->busy = FALSE;
    if (self->gone) {
        vmf_observer_destroy(self);
        return;
    }
    if (error)
        vmf_debug(NULL, "%s", error->message);
    if (error || answer->ask == VMF_ASK_CACHE) {
        vmf_observer_leave_guest(self);
    } else if (answer->ask == VMF_ASK_LOOK) {
        vmf_observer_looked(self, answer);
    } else if (answer->ask == VMF_ASK_START) {
        self->calculating = TRUE;
        vmf_observer_wait(self, answer->seconds * 1000);
    } else {
        vmf_observer_measured(self, answer);
    }
}

/* ---- which guest is next ---- */

static const char *
vmf_observer_find_next(VmfObserver *self, gint64 *ret_due)
{
    GHashTableIter iter;
    gpointer uuid;
    gpointer value;
    const char *next = NULL;

    g_hash_table_iter_init(&iter, self->guests);
    while (g_hash_table_iter_next(&iter, &uuid, &value)) {
        const VmfKnown *known = value;

        if (next && known->due >= *ret_due)
            continue;
        next = uuid;
        *ret_due = known->due;
    }
    return next;
}

static void
vmf_observer_begin_guest(VmfObserver *self)
{
    gint64 now = g_get_monotonic_time();
    gint64 due = 0;
    const char *uuid = vmf_observer_find_next(self, &due);

    if (!uuid)
        return;
    if (due > now) {
        vmf_observer_wait(self, (guint)((due - now) / 1000 + 1));
        return;
    }
    self->uuid = g_strdup(uuid);
    vmf_observer_ask(self, VMF_ASK_LOOK, 0);
}

static gboolean
vmf_observer_on_timer(gpointer data)
{
    VmfObserver *self = data;
    guint seconds = vmf_dirty_rate_periods[self->period];

    vmf_timer_clear(&self->timer);
    if (self->busy)
        return G_SOURCE_REMOVE;
    if (!self->uuid)
        vmf_observer_begin_guest(self);
    else if (vmf_daemon_is_migrating(self->daemon, self->uuid))
        vmf_observer_leave_guest(self);
    else
        vmf_observer_ask(self, self->calculating ? VMF_ASK_RESULT : VMF_ASK_START, seconds);
    return G_SOURCE_REMOVE;
}

/* ---- which guests there are ---- */

static void
vmf_observer_add(const char *uuid, gpointer data)
{
    VmfObserver *self = data;
    VmfKnown *known;

    if (g_hash_table_contains(self->guests, uuid))
        return;
    known = g_new0(VmfKnown, 1);
    known->due = g_get_monotonic_time() + (gint64)VMF_SETTLE * 1000;
    g_hash_table_insert(self->guests, g_strdup(uuid), known);
    if (!self->uuid && !self->busy)
        vmf_observer_wait(self, VMF_SETTLE);
}

static void
vmf_observer_on_lifecycle(VmfLibvirt *libvirt, const char *uuid, int event, int detail,
                          VmfObserver *self)
{
    if (event == VIR_DOMAIN_EVENT_RESUMED ||
        (event == VIR_DOMAIN_EVENT_STARTED && detail != VIR_DOMAIN_EVENT_STARTED_MIGRATED))
        vmf_observer_add(uuid, self);
    else if (event == VIR_DOMAIN_EVENT_STOPPED)
        g_hash_table_remove(self->guests, uuid);
}

static void
vmf_observer_on_connected(VmfLibvirt *libvirt, gboolean connected, VmfObserver *self)
{
    if (connected)
        vmf_libvirt_foreach_running(libvirt, vmf_observer_add, self);
}

VmfObserver *
vmf_observer_new(VmfDaemon *daemon)
{
    VmfObserver *self = g_new0(VmfObserver, 1);
    VmfLibvirt *libvirt = vmf_daemon_get_libvirt(daemon);

    self->daemon = daemon;
    self->guests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_signal_connect(libvirt, "lifecycle", G_CALLBACK(vmf_observer_on_lifecycle), self);
    g_signal_connect(libvirt, "connected", G_CALLBACK(vmf_observer_on_connected), self);
    return self;
}

void
vmf_observer_free(VmfObserver *self)
{
    g_signal_handlers_disconnect_by_data(vmf_daemon_get_libvirt(self->daemon), self);
    vmf_timer_clear(&self->timer);
    self->gone = TRUE;
    if (!self->busy)
        vmf_observer_destroy(self);
}

gboolean
vmf_observer_get(VmfObserver *self, const char *uuid, VmfWorkingSet *ret_curve, double *ret_age)
{
    const VmfKnown *known = g_hash_table_lookup(self->guests, uuid);

    if (!known || !known->measured)
        return FALSE;
    *ret_curve = known->curve;
    *ret_age = (double)(g_get_monotonic_time() - known->measured) / G_USEC_PER_SEC;
    return TRUE;
}
