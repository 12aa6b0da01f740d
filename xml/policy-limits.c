/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/policy-private.h"

#include <string.h>

#define VMF_DAY 86400 /* s */
#define VMF_HOUR_MS 3600000

static const char *const vmf_no_attributes[] = {NULL};

static gboolean
vmf_limits_read_bandwidth(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const attributes[] = {"unit", NULL};
    VmfPolicy *policy = data;
    g_autofree char *text = NULL;

    if (!vmf_xml_reader_attributes(reader, node, attributes))
        return FALSE;
    text = vmf_xml_reader_text(reader, node);
    return text &&
           vmf_xml_reader_bytes(reader, node, "the bandwidth", text, "MiB", &policy->bandwidth);
}

static gboolean
vmf_limits_read_downtime(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const attributes[] = {"allowed", "max", "step", NULL};
    VmfPolicy *policy = data;
    g_autofree char *max = vmf_xml_reader_attribute(node, "max");

    if (!vmf_xml_reader_attributes(reader, node, attributes) ||
        !vmf_xml_reader_leaf(reader, node) ||
        !vmf_xml_reader_number_attribute(reader, node, "allowed", 1, VMF_HOUR_MS,
                                         &policy->downtime) ||
        !vmf_xml_reader_number_attribute(reader, node, "max", 1, VMF_HOUR_MS,
                                         &policy->downtime_max) ||
        !vmf_xml_reader_number_attribute(reader, node, "step", 0, VMF_HOUR_MS,
                                         &policy->downtime_step))
        return FALSE;
    if (max && policy->downtime_max < policy->downtime)
        return vmf_xml_reader_fail(reader, node,
                                   "'max' of <downtime> is %u ms, less than the %u ms allowed from "
                                   "the start",
                                   policy->downtime_max, policy->downtime);
    policy->downtime_max = MAX(policy->downtime_max, policy->downtime);
    return TRUE;
}

static gboolean
vmf_limits_read_deadline(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const attributes[] = {"seconds", "per-gib", "action", NULL};
    VmfPolicy *policy = data;
    g_autofree char *action = vmf_xml_reader_attribute(node, "action");
    guint index = policy->on_deadline;

    if (!vmf_xml_reader_attributes(reader, node, attributes) ||
        !vmf_xml_reader_leaf(reader, node) ||
        !vmf_xml_reader_number_attribute(reader, node, "seconds", 0, VMF_DAY, &policy->deadline) ||
        !vmf_xml_reader_number_attribute(reader, node, "per-gib", 0, VMF_DAY,
                                         &policy->deadline_gib))
        return FALSE;
    if (action && reader->namespace)
        return vmf_xml_reader_fail(reader, node,
                                   "a guest may not wish for an action at the deadline");
    if (action && !vmf_xml_reader_word(reader, node, "the action", action,
                                       vmf_deadline_action_words(), &index))
        return FALSE;
    policy->on_deadline = (VmfDeadlineAction)index;
    return TRUE;
}

static gboolean
vmf_limits_read_share(VmfXmlReader *reader, xmlNode *node, double *ret)
{
    guint percent = (guint)(*ret * 100 + 0.5);

    if (!vmf_xml_reader_number_attribute(reader, node, "share", 1, 100, &percent))
        return FALSE;
    *ret = percent / 100.0;
    return TRUE;
}

static gboolean
vmf_limits_read_cache(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const attributes[] = {"memory", "unit", "share", NULL};
    VmfPolicy *policy = data;
    g_autofree char *memory = vmf_xml_reader_attribute(node, "memory");

    if (!vmf_xml_reader_attributes(reader, node, attributes) || !vmf_xml_reader_leaf(reader, node))
        return FALSE;
    if (memory && !vmf_xml_reader_bytes(reader, node, "'memory' of <cache>", memory, "MiB",
                                        &policy->cache_memory))
        return FALSE;
    return vmf_limits_read_share(reader, node, &policy->cache_share);
}

static gboolean
vmf_limits_read_cpu(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const attributes[] = {"share", NULL};
    VmfPolicy *policy = data;

    return vmf_xml_reader_attributes(reader, node, attributes) &&
           vmf_xml_reader_leaf(reader, node) &&
           vmf_limits_read_share(reader, node, &policy->cpu_share);
}

static gboolean
vmf_limits_read_compression(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const attributes[] = {"mode", NULL};
    VmfPolicy *policy = data;
    g_autofree char *mode = vmf_xml_reader_attribute(node, "mode");
    guint index = 0;

    if (!vmf_xml_reader_attributes(reader, node, attributes) || !vmf_xml_reader_leaf(reader, node))
        return FALSE;
    if (!mode)
        return vmf_xml_reader_fail(reader, node, "<compression> needs a 'mode'");
    if (!vmf_xml_reader_word(reader, node, "the mode", mode, vmf_compression_words(), &index))
        return FALSE;
    policy->compression = (VmfCompress)index;
    return TRUE;
}

static const VmfElement vmf_limit_elements[] = {
    {"bandwidth", FALSE, vmf_limits_read_bandwidth},
    {"downtime", FALSE, vmf_limits_read_downtime},
    {"deadline", FALSE, vmf_limits_read_deadline},
    {"cache", FALSE, vmf_limits_read_cache},
    {"cpu", FALSE, vmf_limits_read_cpu},
    {"compression", FALSE, vmf_limits_read_compression},
    {NULL, FALSE, NULL},
};

static gboolean
vmf_policy_read_limits(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    return vmf_xml_reader_attributes(reader, node, vmf_no_attributes) &&
           vmf_xml_reader_children(reader, node, vmf_limit_elements, data);
}

/* Words, separated by spaces, as bits; "none" alone is none. */
static gboolean
vmf_policy_read_set(VmfXmlReader *reader, xmlNode *node, const char *const *words, guint *ret)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) given = NULL;
    guint set = 0;
    guint index = 0;

    if (!vmf_xml_reader_attributes(reader, node, vmf_no_attributes))
        return FALSE;
    text = vmf_xml_reader_text(reader, node);
    if (!text)
        return FALSE;
    given = g_strsplit_set(strcmp(text, "none") == 0 ? "" : text, " \t\r\n", -1);
    for (char **word = given; *word; word++) {
        g_autofree char *what = g_strdup_printf("a word of <%s>", node->name);

        if (**word && !vmf_xml_reader_word(reader, node, what, *word, words, &index))
            return FALSE;
        set |= **word ? 1u << index : 0;
    }
    *ret = set;
    return TRUE;
}

static gboolean
vmf_policy_read_engines(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    VmfPolicy *policy = data;

    if (!vmf_policy_read_set(reader, node, vmf_engine_words(), &policy->engines))
        return FALSE;
    return policy->engines ||
           vmf_xml_reader_fail(reader, node, "without an engine nothing can move");
}

static gboolean
vmf_policy_read_ways(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    VmfPolicy *policy = data;

    return vmf_policy_read_set(reader, node, vmf_way_words(), &policy->ways);
}

static gboolean
vmf_policy_read_choice(VmfXmlReader *reader, xmlNode *node, const char *name,
                       const char *const *words, guint *ret)
{
    const char *const attributes[] = {name, NULL};
    g_autofree char *text = vmf_xml_reader_attribute(node, name);
    g_autofree char *what = g_strdup_printf("'%s' of <%s>", name, node->name);

    if (!vmf_xml_reader_attributes(reader, node, attributes) || !vmf_xml_reader_leaf(reader, node))
        return FALSE;
    if (!text)
        return vmf_xml_reader_fail(reader, node, "<%s> needs '%s'", node->name, name);
    return vmf_xml_reader_word(reader, node, what, text, words, ret);
}

static gboolean
vmf_policy_read_failure(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const words[] = {"open", "closed", NULL};
    VmfPolicy *policy = data;
    guint index = 0;

    if (!vmf_policy_read_choice(reader, node, "mode", words, &index))
        return FALSE;
    policy->fail_closed = index == 1;
    return TRUE;
}

static gboolean
vmf_policy_read_observe(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const words[] = {"no", "yes", NULL};
    VmfPolicy *policy = data;
    guint index = 0;

    if (!vmf_policy_read_choice(reader, node, "ahead", words, &index))
        return FALSE;
    policy->observe = index == 1;
    return TRUE;
}

const VmfElement vmf_policy_elements[] = {
    {"limits", FALSE, vmf_policy_read_limits},    {"engines", FALSE, vmf_policy_read_engines},
    {"auto-enable", FALSE, vmf_policy_read_ways}, {"failure", FALSE, vmf_policy_read_failure},
    {"observe", FALSE, vmf_policy_read_observe},  {NULL, FALSE, NULL},
};
