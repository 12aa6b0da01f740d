/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager-policy.h"

#include "base/error.h"
#include "daemon/authority.h"
#include "daemon/guest.h"
#include "daemon/manager.h"
#include "daemon/peer.h"
#include "daemon/planning.h"
#include "daemon/policies.h"
#include "policy/decision.h"
#include "policy/plan.h"

#define VMF_MIB (1024.0 * 1024)

/* A question about a guest, while libvirt is asked what it is. */
typedef struct {
    VmfDaemon *daemon;
    GDBusMethodInvocation *invocation;
    char *domain;
    char *peer;    /* NULL: none was named */
    double link;   /* bytes/s; 0: not said */
    gboolean plan; /* else only which policy holds */
} VmfPlanCall;

static void
vmf_plan_call_free(gpointer data)
{
    VmfPlanCall *call = data;

    g_free(call->domain);
    g_free(call->peer);
    g_free(call);
}

/* ---- ReloadPolicies ---- */

static void
vmf_reload_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfDaemon *daemon = data;
    g_auto(GStrv) problems = vmf_policies_reload(vmf_daemon_get_policies(daemon));

    g_dbus_method_invocation_return_value(invocation, g_variant_new("(^as)", problems));
}

static gboolean
vmf_manager_on_reload(VmfBusManager *skeleton, GDBusMethodInvocation *invocation, VmfDaemon *daemon)
{
    vmf_authority_check(invocation, VMF_RIGHT_CONFIGURE, vmf_reload_authorized, daemon, NULL);
    return TRUE;
}

/* ---- Plan and GetPolicy ---- */

static void
vmf_plan_add_measured(GVariantDict *dict, const VmfKnowledge *known)
{
    const VmfFacts *facts = &known->facts;
    GVariantBuilder written;

    g_variant_builder_init(&written, G_VARIANT_TYPE("a(dt)"));
    for (guint i = 0; i < facts->written.n; i++)
        g_variant_builder_add(&written, "(dt)", facts->written.seconds[i],
                              (guint64)facts->written.bytes[i]);
    g_variant_dict_insert(dict, "memory", "t", facts->ram);
    g_variant_dict_insert_value(dict, "written", g_variant_builder_end(&written));
    g_variant_dict_insert(dict, "age", "d", known->age);
    g_variant_dict_insert(dict, "link-rate", "t", (guint64)facts->link_rate);
    g_variant_dict_insert(dict, "link-known", "b", known->link_known);
    g_variant_dict_insert(dict, "host-free", "t", facts->source_free);
}

static GVariant *
vmf_plan_choices(const VmfPlan *plan)
{
    GVariantBuilder choices;

    g_variant_builder_init(&choices, G_VARIANT_TYPE("a(sbddt)"));
    for (guint i = 0; i < plan->n; i++) {
        const VmfPrediction *prediction = &plan->choices[i].prediction;
        g_autofree char *setting = vmf_setting_format(&plan->choices[i].setting);

        g_variant_builder_add(&choices, "(sbddt)", setting, prediction->converges,
                              prediction->seconds, prediction->downtime, (guint64)prediction->wire);
    }
    return g_variant_builder_end(&choices);
}

static void
vmf_plan_add_plan(GVariantDict *dict, const VmfPlan *plan, GPtrArray *decisions)
{
    g_autofree char *setting = vmf_setting_format(&plan->setting);
    const VmfDecision *why = decisions->pdata[0];

    g_variant_dict_insert(dict, "chosen", "s", setting);
    g_variant_dict_insert(dict, "converges", "b", plan->prediction.converges);
    g_variant_dict_insert(dict, "seconds", "d", plan->prediction.seconds);
    g_variant_dict_insert(dict, "downtime", "d", plan->prediction.downtime);
    g_variant_dict_insert(dict, "bytes", "t", (guint64)plan->prediction.wire);
    g_variant_dict_insert(dict, "deadline", "d", plan->deadline);
    g_variant_dict_insert(dict, "on-deadline", "s", vmf_deadline_action_words()[plan->on_deadline]);
    g_variant_dict_insert(dict, "rule", "s", why->rule);
    g_variant_dict_insert(dict, "why", "s", why->numbers);
    g_variant_dict_insert_value(dict, "choices", vmf_plan_choices(plan));
}

static GVariant *
vmf_plan_answer(VmfPlanCall *call, const VmfGuest *guest, const VmfChosenPolicy *policy,
                GError **error)
{
    g_autoptr(GPtrArray) decisions = vmf_decisions_new();
    g_autofree VmfPlan *plan = g_new0(VmfPlan, 1);
    g_autoptr(GVariant) base = g_variant_ref_sink(vmf_chosen_policy_to_variant(policy));
    GVariantDict dict;
    VmfKnowledge known;

    vmf_planning_look(call->daemon, guest, call->peer, &policy->policy, call->link, &known);
    if (!vmf_plan_make(&known.facts, &policy->policy, 0, decisions, plan)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED, "policy '%s' allows no engine",
                    policy->name);
        return NULL;
    }
    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "domain", "s", guest->name);
    g_variant_dict_insert(&dict, "peer", "s", call->peer ? call->peer : "");
    g_variant_dict_insert_value(&dict, "policy", base);
    vmf_plan_add_measured(&dict, &known);
    vmf_plan_add_plan(&dict, plan, decisions);
    return g_variant_dict_end(&dict);
}

static void
vmf_plan_look_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfPlanCall *call = data;
    GError *error = NULL;
    g_autoptr(virConnect) connection =
        vmf_libvirt_open(vmf_daemon_get_config(call->daemon)->libvirt_uri, &error);
    VmfGuest *guest = NULL;

    if (connection)
        guest = vmf_guest_describe(connection, call->domain, &error);
    if (guest)
        g_task_return_pointer(task, guest, (GDestroyNotify)vmf_guest_free);
    else
        g_task_return_error(task, error);
}

static void
vmf_plan_looked(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfPlanCall *call = g_task_get_task_data(G_TASK(result));
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfGuest) guest = g_task_propagate_pointer(G_TASK(result), &error);
    g_autoptr(VmfChosenPolicy) policy = NULL;
    GVariant *answer = NULL;

    if (guest)
        policy = vmf_policies_choose(vmf_daemon_get_policies(call->daemon), guest->xml, call->peer,
                                     TRUE, &error);
    if (policy)
        answer = call->plan ? vmf_plan_answer(call, guest, policy, &error)
                            : vmf_chosen_policy_to_variant(policy);
    if (answer)
        g_dbus_method_invocation_return_value(call->invocation, g_variant_new("(@a{sv})", answer));
    else
        g_dbus_method_invocation_return_gerror(call->invocation, error);
}

/* Takes the call. Everybody may ask, as everybody may read. */
static gboolean
vmf_plan_call_run(VmfPlanCall *call)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, vmf_plan_looked, NULL);

    g_task_set_task_data(task, call, vmf_plan_call_free);
    vmf_workers_run(vmf_daemon_get_workers(call->daemon), task, vmf_plan_look_thread);
    return TRUE;
}

static gboolean
vmf_plan_options_read(GVariant *options, VmfPlanCall *call, GError **error)
{
    GVariantIter iter;
    const char *key;
    GVariant *value;
    gboolean good = TRUE;

    g_variant_iter_init(&iter, options);
    while (good && g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        if (call->plan && g_str_equal(key, "link") &&
            g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
            call->link = g_variant_get_uint32(value) * VMF_MIB;
        else if (!call->plan && g_str_equal(key, "peer") &&
                 g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
            call->peer = g_variant_dup_string(value, NULL);
        else
            good = FALSE;
        if (!good)
            g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                        "option '%s' is not known, or of another type", key);
        g_variant_unref(value);
    }
    return good;
}

static gboolean
vmf_plan_call_begin(VmfDaemon *daemon, GDBusMethodInvocation *invocation, const char *domain,
                    const char *peer, GVariant *options)
{
    VmfPlanCall *call = g_new0(VmfPlanCall, 1);
    g_autoptr(GError) error = NULL;

    call->daemon = daemon;
    call->invocation = invocation;
    call->domain = g_strdup(domain);
    call->peer = g_strdup(peer);
    call->plan = peer != NULL;
    if ((!peer || vmf_manager_find_peer(daemon, peer, &error)) &&
        vmf_plan_options_read(options, call, &error))
        return vmf_plan_call_run(call);
    g_dbus_method_invocation_return_gerror(invocation, error);
    vmf_plan_call_free(call);
    return TRUE;
}

static gboolean
vmf_manager_on_plan(VmfBusManager *skeleton, GDBusMethodInvocation *invocation, const char *domain,
                    const char *peer, GVariant *options, VmfDaemon *daemon)
{
    return vmf_plan_call_begin(daemon, invocation, domain, peer, options);
}

static gboolean
vmf_manager_on_get_policy(VmfBusManager *skeleton, GDBusMethodInvocation *invocation,
                          const char *domain, GVariant *options, VmfDaemon *daemon)
{
    return vmf_plan_call_begin(daemon, invocation, domain, NULL, options);
}

void
vmf_manager_serve_policy(VmfDaemon *daemon, VmfBusManager *skeleton)
{
    g_signal_connect(skeleton, "handle-reload-policies", G_CALLBACK(vmf_manager_on_reload), daemon);
    g_signal_connect(skeleton, "handle-plan", G_CALLBACK(vmf_manager_on_plan), daemon);
    g_signal_connect(skeleton, "handle-get-policy", G_CALLBACK(vmf_manager_on_get_policy), daemon);
}
