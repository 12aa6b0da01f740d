/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manager.Hook: may this guest arrive, and with what XML. What is known at once (admission.h) is
 * asked first; then, within bounds, what this host's emulator makes of the guest (precheck.h).
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
#define VMF_HOOK_CHECK_TIME 1400 /* ms */

/* At once. Whoever comes while so many are looked at is let in without. */
#define VMF_HOOK_CHECKS_MAX 4

typedef struct {
    VmfDaemon *daemon;
    guint checks; /* that are under way, answered or not */
} VmfHookDesk;

/* A guest that is looked at, while libvirt waits. */
typedef struct {
    VmfHookDesk *desk;
    GDBusMethodInvocation *invocation; /* NULL: answered */
    char *guest;
    char *xml;     /* as it would arrive */
    char *changed; /* the same, if that is another than it was sent with; or NULL */
    guint timer;
} VmfHookCheck;

static void
vmf_hook_answer(GDBusMethodInvocation *invocation, const char *guest, const char *changed,
                const GError *refusal)
{
    if (refusal)
        vmf_warn(NULL, "refused guest '%s': %s", guest, refusal->message);
    g_dbus_method_invocation_return_value(
        invocation, g_variant_new("(bss)", refusal == NULL, refusal ? refusal->message : "",
                                  changed && !refusal ? changed : ""));
}

/* ---- what its emulator says ---- */

static void
vmf_hook_check_free(gpointer data)
{
    VmfHookCheck *check = data;

    g_clear_handle_id(&check->timer, g_source_remove);
    g_free(check->guest);
    g_free(check->xml);
    g_free(check->changed);
    g_free(check);
}

static void
vmf_hook_check_answer(VmfHookCheck *check, const GError *refusal)
{
    vmf_hook_answer(g_steal_pointer(&check->invocation), check->guest, check->changed, refusal);
}

static gboolean
vmf_hook_check_on_timer(gpointer data)
{
    VmfHookCheck *check = data;

    check->timer = 0;
    vmf_warn(NULL,
             "guest '%s' arrives unchecked: what this host's QEMU makes of it was not known "
             "in time",
             check->guest);
    vmf_hook_check_answer(check, NULL);
    return G_SOURCE_REMOVE;
}

static void
vmf_hook_check_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const VmfHookCheck *check = data;
    GError *error = NULL;
    GPtrArray *concerns = vmf_precheck_judge_arrival(check->desk->daemon, check->xml, &error);

    if (concerns)
        g_task_return_pointer(task, concerns, (GDestroyNotify)g_ptr_array_unref);
    else
        g_task_return_error(task, error);
}

/* Errors: as the concern that is in the way. */
static gboolean
vmf_hook_check_judge(const VmfHookCheck *check, GPtrArray *concerns, GError **error)
{
    const VmfConcern *block = vmf_concerns_find_block(concerns);

    for (guint i = 0; i < concerns->len; i++) {
        const VmfConcern *concern = g_ptr_array_index(concerns, i);

        if (concern->severity == VMF_SEVERITY_WARN)
            vmf_info(NULL, "guest '%s' arrives: %s", check->guest, concern->message);
    }
    if (!block)
        return TRUE;
    g_set_error(error, VMF_ERROR, block->code, "vmferry: guest '%s' cannot run there: %s",
                check->guest, block->message);
    return FALSE;
}

static void
vmf_hook_check_done(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfHookCheck *check = g_task_get_task_data(G_TASK(result));
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) concerns = g_task_propagate_pointer(G_TASK(result), &error);
    g_autoptr(GError) refusal = NULL;

    check->desk->checks--;
    if (!check->invocation)
        return;
    if (concerns)
        vmf_hook_check_judge(check, concerns, &refusal);
    else
        vmf_warn(NULL, "guest '%s' arrives unchecked: %s", check->guest, error->message);
    vmf_hook_check_answer(check, refusal);
}

/* Takes the invocation and the XML. */
static void
vmf_hook_check_start(VmfHookDesk *desk, GDBusMethodInvocation *invocation, const char *guest,
                     const char *xml, char *changed)
{
    VmfHookCheck *check = g_new0(VmfHookCheck, 1);
    g_autoptr(GTask) task = g_task_new(NULL, NULL, vmf_hook_check_done, NULL);

    check->desk = desk;
    check->invocation = invocation;
    check->guest = g_strdup(guest);
    check->xml = g_strdup(changed ? changed : xml);
    check->changed = changed;
    check->timer = g_timeout_add(VMF_HOOK_CHECK_TIME, vmf_hook_check_on_timer, check);
    desk->checks++;
    g_task_set_task_data(task, check, vmf_hook_check_free);
    vmf_workers_run(vmf_daemon_get_workers(desk->daemon), task, vmf_hook_check_thread);
}

/* ---- what is known at once ---- */

/* The name of the policy by which the guest may only come announced, or NULL; the caller's. */
static char *
vmf_hook_find_closed_policy(VmfDaemon *daemon, const char *xml)
{
    g_autoptr(VmfChosenPolicy) policy =
        vmf_policies_choose(vmf_daemon_get_policies(daemon), xml, NULL, FALSE, NULL);

    return policy && policy->policy.fail_closed ? g_strdup(policy->name) : NULL;
}

static gboolean
vmf_hook_admits(VmfDaemon *daemon, const char *guest, const char *xml, gboolean expected,
                GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(daemon);
    g_autofree char *policy = vmf_hook_find_closed_policy(daemon, xml);
    VmfAdmissionFacts facts = {
        .memory_reserve = (guint64)config->memory_reserve << 20,
        .migrations = vmf_daemon_count_running(daemon),
        .migrations_max = config->max_migrations,
        .expected = expected,
        .maintenance = vmf_daemon_get_maintenance(daemon),
        .require_us = config->require_vmferry,
        .closed_policy = policy,
    };

    vmf_admission_facts(&facts);
    return vmf_admission_check(guest, xml, &facts, error);
}

/* The XML that libvirt is to use instead, or NULL; the caller's. */
static char *
vmf_hook_rewrite(VmfDaemon *daemon, const char *guest, const char *xml)
{
    const VmfRewrite *rewrite = vmf_daemon_get_rewrite(daemon);
    g_auto(GStrv) changes = NULL;
    char *changed = rewrite ? vmf_rewrite_apply(rewrite, xml, &changes, NULL) : NULL;

    for (char **change = changes; change && *change; change++)
        vmf_info(NULL, "guest '%s' arrives with another %s", guest, *change);
    return changed;
}

/* A guest that its vmferryd announced was checked there, and perhaps forced. */
static gboolean
vmf_hook_should_check(VmfHookDesk *desk, const char *guest, gboolean expected)
{
    if (expected || !vmf_daemon_get_config(desk->daemon)->check_guests)
        return FALSE;
    if (desk->checks < VMF_HOOK_CHECKS_MAX)
        return TRUE;
    vmf_warn(NULL, "guest '%s' arrives unchecked: others are being checked", guest);
    return FALSE;
}

static void
vmf_hook_admit(VmfHookDesk *desk, GDBusMethodInvocation *invocation, const char *guest,
               const char *xml)
{
    gboolean expected = vmf_daemon_expects_guest(desk->daemon, guest);
    g_autoptr(GError) refusal = NULL;
    g_autofree char *changed = NULL;

    if (vmf_hook_admits(desk->daemon, guest, xml, expected, &refusal))
        changed = vmf_hook_rewrite(desk->daemon, guest, xml);
    if (!refusal && vmf_hook_should_check(desk, guest, expected))
        vmf_hook_check_start(desk, invocation, guest, xml, g_steal_pointer(&changed));
    else
        vmf_hook_answer(invocation, guest, changed, refusal);
}

static void
vmf_hook_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfHookDesk *desk = data;
    const char *guest, *operation, *suboperation, *extra, *xml;

    g_variant_get(g_dbus_method_invocation_get_parameters(invocation), "(&s&s&s&s&s)", &guest,
                  &operation, &suboperation, &extra, &xml);
    if (g_str_equal(operation, "migrate") && g_str_equal(suboperation, "begin"))
        vmf_hook_admit(desk, invocation, guest, xml);
    else
        vmf_hook_answer(invocation, guest, NULL, NULL);
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
