/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manager.Hook: may this guest arrive, and with what XML.
 *
 * Its XML, which may have megabytes, is read in a thread. Then what is known at once decides
 * (admission.h, its policy), and at last, within bounds, what this host's emulator makes of the
 * guest (precheck.h).
 */
#include "daemon/manager-hook.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/admission.h"
#include "daemon/authority.h"
#include "daemon/policies.h"
#include "daemon/precheck.h"
#include "probe/concern.h"

/* libvirt's hook waits two seconds, and has more to do than to wait for us. */
#define VMF_HOOK_TIME 1400 /* ms */

/* At once. Whoever comes while so many are looked at is let in without. */
#define VMF_HOOK_CHECKS_MAX 4

typedef struct {
    VmfDaemon *daemon;
    guint checks; /* that are under way, answered or not */
} VmfHookDesk;

/* A guest that would arrive, while libvirt waits. Held by the task that is at work on it. */
typedef struct {
    VmfHookDesk *desk;
    GDBusMethodInvocation *invocation; /* NULL: answered */
    gint64 until;                      /* monotonic, µs */
    GVariant *call;                    /* its arguments; the next two are in it */
    const char *guest;
    const char *xml;
    gboolean expected; /* its vmferryd has announced it */

    VmfDomainXml *domain;
    VmfPolicySubject *subject;
    char *changed;  /* the XML as it is to be here; NULL: as it came */
    char **changes; /* what is another in it */
    guint timer;
} VmfArrival;

static void
vmf_arrival_free(gpointer data)
{
    VmfArrival *self = data;

    g_clear_handle_id(&self->timer, g_source_remove);
    g_clear_pointer(&self->domain, vmf_domain_xml_free);
    g_clear_pointer(&self->subject, vmf_policy_subject_free);
    g_variant_unref(self->call);
    g_strfreev(self->changes);
    g_free(self->changed);
    g_free(self);
}

static void
vmf_hook_answer(GDBusMethodInvocation *invocation, const char *changed, const GError *refusal)
{
    g_dbus_method_invocation_return_value(
        invocation, g_variant_new("(bss)", refusal == NULL, refusal ? refusal->message : "",
                                  changed && !refusal ? changed : ""));
}

static void
vmf_arrival_answer(VmfArrival *self, const GError *refusal)
{
    if (refusal)
        vmf_warn(NULL, "refused guest '%s': %s", self->guest, refusal->message);
    vmf_hook_answer(g_steal_pointer(&self->invocation), self->changed, refusal);
}

/* ---- what its emulator says ---- */

static gboolean
vmf_arrival_on_timer(gpointer data)
{
    VmfArrival *self = data;

    self->timer = 0;
    vmf_warn(NULL,
             "guest '%s' arrives unchecked: what this host's QEMU makes of it was not known in "
             "time",
             self->guest);
    vmf_arrival_answer(self, NULL);
    return G_SOURCE_REMOVE;
}

static void
vmf_arrival_check_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const VmfArrival *self = data;
    GError *error = NULL;
    GPtrArray *concerns = vmf_precheck_judge_arrival(
        self->desk->daemon, self->changed ? self->changed : self->xml, &error);

    if (concerns)
        g_task_return_pointer(task, concerns, (GDestroyNotify)g_ptr_array_unref);
    else
        g_task_return_error(task, error);
}

/* Errors: as the concern that is in the way. */
static gboolean
vmf_arrival_judge(const VmfArrival *self, GPtrArray *concerns, GError **error)
{
    const VmfConcern *block = vmf_concerns_find_block(concerns);

    for (guint i = 0; i < concerns->len; i++) {
        const VmfConcern *concern = g_ptr_array_index(concerns, i);

        if (concern->severity == VMF_SEVERITY_WARN)
            vmf_info(NULL, "guest '%s' arrives: %s", self->guest, concern->message);
    }
    if (!block)
        return TRUE;
    g_set_error(error, VMF_ERROR, block->code, "vmferry: guest '%s' cannot run there: %s",
                self->guest, block->message);
    return FALSE;
}

static void
vmf_arrival_checked(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfArrival *self = g_task_get_task_data(G_TASK(result));
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) concerns = g_task_propagate_pointer(G_TASK(result), &error);
    g_autoptr(GError) refusal = NULL;

    self->desk->checks--;
    if (!self->invocation)
        return;
    if (concerns)
        vmf_arrival_judge(self, concerns, &refusal);
    else
        vmf_warn(NULL, "guest '%s' arrives unchecked: %s", self->guest, error->message);
    vmf_arrival_answer(self, refusal);
}

static void
vmf_arrival_check(VmfArrival *self)
{
    gint64 left = (self->until - g_get_monotonic_time()) / 1000;
    g_autoptr(GTask) task = g_task_new(NULL, NULL, vmf_arrival_checked, NULL);

    self->timer = g_timeout_add((guint)MAX(left, 0), vmf_arrival_on_timer, self);
    self->desk->checks++;
    g_task_set_task_data(task, self, vmf_arrival_free);
    vmf_workers_run(vmf_daemon_get_workers(self->desk->daemon), task, vmf_arrival_check_thread);
}

/* ---- what is known at once ---- */

static gboolean
vmf_arrival_admit(VmfArrival *self, GError **error)
{
    VmfDaemon *daemon = self->desk->daemon;
    const VmfConfig *config = vmf_daemon_get_config(daemon);
    g_autoptr(VmfChosenPolicy) policy =
        vmf_policies_choose_for(vmf_daemon_get_policies(daemon), self->subject, NULL);
    VmfAdmissionFacts facts = {
        .memory_reserve = (guint64)config->memory_reserve << 20,
        .migrations = vmf_daemon_count_running(daemon),
        .migrations_max = config->max_migrations,
        .expected = self->expected,
        .maintenance = vmf_daemon_get_maintenance(daemon),
        .require_us = config->require_vmferry,
        .closed_policy = policy->policy.fail_closed ? policy->name : NULL,
    };

    vmf_admission_facts(&facts);
    return vmf_admission_check(self->guest, self->domain, &facts, error);
}

/* A guest that its vmferryd announced was checked there, and perhaps forced. */
static gboolean
vmf_arrival_should_check(const VmfArrival *self)
{
    if (self->expected || !vmf_daemon_get_config(self->desk->daemon)->check_guests)
        return FALSE;
    if (self->desk->checks < VMF_HOOK_CHECKS_MAX)
        return TRUE;
    vmf_warn(NULL, "guest '%s' arrives unchecked: others are being checked", self->guest);
    return FALSE;
}

/* Takes the arrival. */
static void
vmf_arrival_decide(VmfArrival *self)
{
    g_autoptr(GError) refusal = NULL;

    if (vmf_arrival_admit(self, &refusal))
        for (char **change = self->changes; change && *change; change++)
            vmf_info(NULL, "guest '%s' arrives with another %s", self->guest, *change);
    if (!refusal && vmf_arrival_should_check(self)) {
        vmf_arrival_check(self);
        return;
    }
    vmf_arrival_answer(self, refusal);
    vmf_arrival_free(self);
}

/* ---- its XML ---- */

static void
vmf_arrival_read_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfArrival *self = data;
    const VmfRewrite *rewrite = vmf_daemon_get_rewrite(self->desk->daemon);
    GError *error = NULL;

    self->domain = vmf_domain_xml_parse(self->xml, &error);
    if (self->domain)
        self->subject = vmf_policy_subject_new(self->xml, NULL, FALSE, &error);
    if (self->subject && rewrite)
        self->changed = vmf_rewrite_apply(rewrite, self->xml, &self->changes, NULL);
    if (error)
        g_task_return_error(task, error);
    else
        g_task_return_boolean(task, TRUE);
}

static void
vmf_arrival_was_read(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfArrival *self = data;
    g_autoptr(GError) error = NULL;

    if (g_task_propagate_boolean(G_TASK(result), &error)) {
        vmf_arrival_decide(self);
        return;
    }
    g_prefix_error(&error, "vmferry: ");
    vmf_arrival_answer(self, error);
    vmf_arrival_free(self);
}

static void
vmf_arrival_read(VmfArrival *self)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, vmf_arrival_was_read, self);

    g_task_set_task_data(task, self, NULL);
    vmf_workers_run(vmf_daemon_get_workers(self->desk->daemon), task, vmf_arrival_read_thread);
}

/* ---- the call ---- */

static void
vmf_hook_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfHookDesk *desk = data;
    const char *guest, *operation, *suboperation, *extra, *xml;
    VmfArrival *arrival;

    g_variant_get(g_dbus_method_invocation_get_parameters(invocation), "(&s&s&s&s&s)", &guest,
                  &operation, &suboperation, &extra, &xml);
    if (!g_str_equal(operation, "migrate") || !g_str_equal(suboperation, "begin")) {
        vmf_hook_answer(invocation, NULL, NULL);
        return;
    }
    arrival = g_new0(VmfArrival, 1);
    arrival->desk = desk;
    arrival->invocation = invocation;
    arrival->until = g_get_monotonic_time() + VMF_HOOK_TIME * 1000;
    arrival->call = g_variant_ref(g_dbus_method_invocation_get_parameters(invocation));
    arrival->guest = guest;
    arrival->xml = xml;
    arrival->expected = vmf_daemon_expects_guest(desk->daemon, guest);
    vmf_arrival_read(arrival);
}

static gboolean
vmf_manager_on_hook(VmfBusManager *skeleton, GDBusMethodInvocation *invocation, const char *guest,
                    const char *operation, const char *suboperation, const char *extra,
                    const char *xml, VmfHookDesk *desk)
{
    vmf_authority_check(invocation, VMF_RIGHT_ROOT, vmf_hook_authorized, desk, NULL);
    return TRUE;
}

static void
vmf_hook_desk_free(gpointer desk, GClosure *closure)
{
    g_free(desk);
}

void
vmf_manager_serve_hook(VmfDaemon *daemon, VmfBusManager *skeleton)
{
    VmfHookDesk *desk = g_new0(VmfHookDesk, 1);

    desk->daemon = daemon;
    g_signal_connect_data(skeleton, "handle-hook", G_CALLBACK(vmf_manager_on_hook), desk,
                          vmf_hook_desk_free, 0);
}
