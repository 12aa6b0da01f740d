/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `vmferry plan GUEST HOST`: what would be done, with what is known now, and why. */
#include <stdio.h>

#include "ctl/ctl.h"

static guint64
vmf_plan_number(GVariant *plan, const char *key)
{
    guint64 value = 0;

    g_variant_lookup(plan, key, "t", &value);
    return value;
}

static void
vmf_plan_print_measured(GVariant *plan)
{
    g_autofree char *memory = vmf_ctl_format_bytes(vmf_plan_number(plan, "memory"));
    g_autofree char *link = vmf_ctl_format_bytes(vmf_plan_number(plan, "link-rate"));
    g_autofree char *free = vmf_ctl_format_bytes(vmf_plan_number(plan, "host-free"));
    GVariantIter *written = NULL;
    gboolean known = FALSE;
    double age = -1;
    double seconds;
    guint64 bytes;

    g_variant_lookup(plan, "age", "d", &age);
    g_variant_lookup(plan, "link-known", "b", &known);
    g_variant_lookup(plan, "written", "a(dt)", &written);
    printf("%-10s %s of memory; %s free on this host; link %s/s%s\n", "measured", memory, free,
           link, known ? "" : " (assumed)");
    if (age < 0)
        printf("%-10s how much the guest writes is not known yet; assumed\n", "");
    while (written && g_variant_iter_next(written, "(dt)", &seconds, &bytes)) {
        g_autofree char *text = vmf_ctl_format_bytes(bytes);

        printf("%-10s %s written in %.0f s, %.0f s ago\n", "", text, seconds, age);
    }
    g_clear_pointer(&written, g_variant_iter_free);
}

static void
vmf_plan_print_choice(const char *label, const char *setting, gboolean converges, double seconds,
                      double downtime, guint64 bytes)
{
    g_autofree char *wire = vmf_ctl_format_bytes(bytes);

    printf("%-10s %-36s %8.1f s %8.0f ms %10s%s\n", label, setting, seconds, downtime * 1000, wire,
           converges ? "" : "  no end by itself");
}

static void
vmf_plan_print_choices(GVariant *plan)
{
    GVariantIter *choices = NULL;
    const char *setting;
    gboolean converges;
    double seconds;
    double downtime;
    guint64 bytes;
    const char *label = "weighed";

    g_variant_lookup(plan, "choices", "a(sbddt)", &choices);
    while (choices && g_variant_iter_next(choices, "(&sbddt)", &setting, &converges, &seconds,
                                          &downtime, &bytes)) {
        vmf_plan_print_choice(label, setting, converges, seconds, downtime, bytes);
        label = "";
    }
    g_clear_pointer(&choices, g_variant_iter_free);
}

static void
vmf_plan_print(GVariant *plan)
{
    g_autoptr(GVariant) policy = g_variant_lookup_value(plan, "policy", G_VARIANT_TYPE_VARDICT);
    const char *name = "";
    const char *problem = "";
    const char *chosen = "";
    const char *why = "";
    gboolean converges = FALSE;
    double seconds = 0;
    double downtime = 0;

    if (policy) {
        g_variant_lookup(policy, "name", "&s", &name);
        g_variant_lookup(policy, "problem", "&s", &problem);
    }
    g_variant_lookup(plan, "chosen", "&s", &chosen);
    g_variant_lookup(plan, "why", "&s", &why);
    g_variant_lookup(plan, "converges", "b", &converges);
    g_variant_lookup(plan, "seconds", "d", &seconds);
    g_variant_lookup(plan, "downtime", "d", &downtime);
    vmf_plan_print_measured(plan);
    printf("%-10s %s%s%s\n", "policy", name, *problem ? "; not heeded: " : "", problem);
    vmf_plan_print_choice("chosen", chosen, converges, seconds, downtime,
                          vmf_plan_number(plan, "bytes"));
    printf("%-10s %s\n", "why", why);
    vmf_plan_print_choices(plan);
}

int
vmf_ctl_plan(int argc, char **argv)
{
    gboolean json = FALSE;
    int link = 0;
    const GOptionEntry entries[] = {
        {"link", 'l', 0, G_OPTION_ARG_INT, &link, "What the link carries, MiB/s", "MIBS"},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(VmfBusManager) manager = NULL;
    g_autoptr(GVariant) plan = NULL;
    GError *error = NULL;
    GVariantDict options;
    int status = VMF_EXIT_OK;

    if (!vmf_ctl_parse(&argc, &argv, entries, "GUEST HOST",
                       "Says what vmferry migrate would do, and why. Touches nothing.", 2, 2))
        return VMF_EXIT_USAGE;
    if (link < 0) {
        fprintf(stderr, "vmferry plan: --link must be more than 0; see vmferry plan --help\n");
        return VMF_EXIT_USAGE;
    }
    manager = vmf_ctl_connect();
    if (!manager)
        return VMF_EXIT_NO_DAEMON;
    g_variant_dict_init(&options, NULL);
    if (link > 0)
        g_variant_dict_insert(&options, "link", "u", (guint)link);
    if (!vmf_bus_manager_call_plan_sync(manager, argv[1], argv[2], g_variant_dict_end(&options),
                                        &plan, NULL, &error)) {
        status = vmf_ctl_fail(error);
        g_error_free(error);
    } else if (json) {
        vmf_ctl_print_json(plan);
    } else {
        vmf_plan_print(plan);
    }
    return status;
}
