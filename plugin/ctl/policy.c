/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/policy.h"

#include <stdio.h>

#include "ctl/ctl.h"

void
vmf_policy_print(GVariant *policy, gboolean json)
{
    const char *name = "";
    const char *file = "";
    const char *problem = "";
    gboolean wishes = FALSE;
    GVariantIter *values = NULL;
    const char *key;
    const char *value;

    if (json) {
        vmf_ctl_print_json(policy);
        return;
    }
    g_variant_lookup(policy, "name", "&s", &name);
    g_variant_lookup(policy, "file", "&s", &file);
    g_variant_lookup(policy, "problem", "&s", &problem);
    g_variant_lookup(policy, "wishes", "b", &wishes);
    g_variant_lookup(policy, "values", "a(ss)", &values);
    printf("%-18s%s\n%-18s%s\n", "policy", name, "from", *file ? file : "built in");
    if (wishes)
        printf("%-18s%s\n", "", "narrowed by the guest's metadata");
    while (values && g_variant_iter_next(values, "(&s&s)", &key, &value))
        printf("%-18s%s\n", key, value);
    if (*problem)
        printf("not heeded: %s\n", problem);
    g_clear_pointer(&values, g_variant_iter_free);
}

static int
vmf_policy_show(const char *guest, const VmfPolicyQuestion *question)
{
    g_autoptr(VmfBusManager) manager = vmf_ctl_connect();
    g_autoptr(GVariant) policy = NULL;
    g_autoptr(GError) error = NULL;
    GVariantDict options;

    if (!manager)
        return VMF_EXIT_NO_DAEMON;
    g_variant_dict_init(&options, NULL);
    if (question->peer)
        g_variant_dict_insert(&options, "peer", "s", question->peer);
    if (!vmf_bus_manager_call_get_policy_sync(manager, guest, g_variant_dict_end(&options), &policy,
                                              NULL, &error))
        return vmf_ctl_fail(error);
    vmf_policy_print(policy, question->json);
    return VMF_EXIT_OK;
}

static int
vmf_policy_usage(const char *what)
{
    fprintf(stderr, "vmferry policy: %s; see vmferry policy --help\n", what);
    return VMF_EXIT_USAGE;
}

int
vmf_ctl_policy(int argc, char **argv)
{
    VmfPolicyQuestion question = {NULL, NULL, FALSE, FALSE};
    const GOptionEntry entries[] = {
        {"guest", 'g', 0, G_OPTION_ARG_FILENAME, &question.guest,
         "check: show what the files say of the guest whose domain XML is in FILE", "FILE"},
        {"peer", 'p', 0, G_OPTION_ARG_STRING, &question.peer, "Where the guest would go", "HOST"},
        {"incoming", 'i', 0, G_OPTION_ARG_NONE, &question.incoming,
         "check: the guest comes from there", NULL},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &question.json, "Print JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status;

    if (!vmf_ctl_parse(&argc, &argv, entries, "check FILE...|show GUEST",
                       "Checks policy files, or shows what holds for a guest.", 2, 1000))
        status = VMF_EXIT_USAGE;
    else if (g_str_equal(argv[1], "check"))
        status = vmf_policy_check(argv + 2, &question);
    else if (g_str_equal(argv[1], "show") && argc == 3)
        status = vmf_policy_show(argv[2], &question);
    else
        status = vmf_policy_usage("expected 'check FILE...' or 'show GUEST'");
    g_free(question.guest);
    g_free(question.peer);
    return status;
}
