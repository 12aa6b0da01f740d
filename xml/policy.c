/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/policy.h"

#include <string.h>

#include "base/error.h"
#include "xml/policy-private.h"

static const char *const vmf_no_attributes[] = {NULL};

static void
vmf_selector_free(gpointer data)
{
    VmfSelector *selector = data;

    g_free(selector->text);
    g_free(selector->namespace);
    g_free(selector->element);
    g_free(selector);
}

static void
vmf_policy_rule_free(gpointer data)
{
    VmfPolicyRule *rule = data;

    g_ptr_array_unref(rule->selectors);
    g_free(rule->name);
    g_free(rule->file);
    g_free(rule);
}

const char *
vmf_policy_rule_get_name(const VmfPolicyRule *rule)
{
    return rule->name;
}

/* ---- <select> ---- */

static VmfSelector *
vmf_selector_add(GPtrArray *selectors, VmfSelectKind kind)
{
    VmfSelector *selector = g_new0(VmfSelector, 1);

    selector->kind = kind;
    g_ptr_array_add(selectors, selector);
    return selector;
}

static gboolean
vmf_select_read_text(VmfXmlReader *reader, xmlNode *node, GPtrArray *selectors, VmfSelectKind kind)
{
    char *text;

    if (!vmf_xml_reader_attributes(reader, node, vmf_no_attributes))
        return FALSE;
    text = vmf_xml_reader_text(reader, node);
    if (text)
        vmf_selector_add(selectors, kind)->text = text;
    return text != NULL;
}

static gboolean
vmf_select_read_name(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    return vmf_select_read_text(reader, node, data, VMF_SELECT_NAME);
}

static gboolean
vmf_select_read_title(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    return vmf_select_read_text(reader, node, data, VMF_SELECT_TITLE);
}

static gboolean
vmf_select_read_peer(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    return vmf_select_read_text(reader, node, data, VMF_SELECT_PEER);
}

static gboolean
vmf_select_read_uuid(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    GPtrArray *selectors = data;
    const VmfSelector *selector;

    if (!vmf_select_read_text(reader, node, selectors, VMF_SELECT_UUID))
        return FALSE;
    selector = selectors->pdata[selectors->len - 1];
    return g_uuid_string_is_valid(selector->text) ||
           vmf_xml_reader_fail(reader, node, "'%s' is not a UUID", selector->text);
}

static gboolean
vmf_select_read_direction(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const words[] = {"in", "out", NULL};
    GPtrArray *selectors = data;
    const VmfSelector *selector;
    guint index = 0;

    if (!vmf_select_read_text(reader, node, selectors, VMF_SELECT_DIRECTION))
        return FALSE;
    selector = selectors->pdata[selectors->len - 1];
    return vmf_xml_reader_word(reader, node, "the direction", selector->text, words, &index);
}

static gboolean
vmf_select_read_metadata(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const attributes[] = {"namespace", "element", NULL};
    g_autofree char *namespace = vmf_xml_reader_attribute(node, "namespace");
    g_autofree char *element = vmf_xml_reader_attribute(node, "element");
    g_autofree char *text = NULL;
    VmfSelector *selector;

    if (!vmf_xml_reader_attributes(reader, node, attributes))
        return FALSE;
    if (!namespace || !*namespace || !element || !*element)
        return vmf_xml_reader_fail(reader, node, "<metadata> needs 'namespace' and 'element'");
    text = vmf_xml_reader_text(reader, node);
    if (!text)
        return FALSE;
    selector = vmf_selector_add(data, VMF_SELECT_METADATA);
    selector->text = g_steal_pointer(&text);
    selector->namespace = g_steal_pointer(&namespace);
    selector->element = g_steal_pointer(&element);
    return TRUE;
}

static gboolean
vmf_select_read_memory(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const attributes[] = {"min", "max", "unit", NULL};
    g_autofree char *min = vmf_xml_reader_attribute(node, "min");
    g_autofree char *max = vmf_xml_reader_attribute(node, "max");
    guint64 least = 0;
    guint64 most = G_MAXUINT64;
    VmfSelector *selector;

    if (!vmf_xml_reader_attributes(reader, node, attributes) || !vmf_xml_reader_leaf(reader, node))
        return FALSE;
    if (!min && !max)
        return vmf_xml_reader_fail(reader, node, "<memory> needs 'min' or 'max'");
    if ((min && !vmf_xml_reader_bytes(reader, node, "'min' of <memory>", min, "GiB", &least)) ||
        (max && !vmf_xml_reader_bytes(reader, node, "'max' of <memory>", max, "GiB", &most)))
        return FALSE;
    if (least > most)
        return vmf_xml_reader_fail(reader, node, "'min' of <memory> is more than 'max'");
    selector = vmf_selector_add(data, VMF_SELECT_MEMORY);
    selector->least = least;
    selector->most = most;
    return TRUE;
}

static const VmfElement vmf_select_elements[] = {
    {"name", TRUE, vmf_select_read_name},
    {"uuid", TRUE, vmf_select_read_uuid},
    {"title", TRUE, vmf_select_read_title},
    {"metadata", TRUE, vmf_select_read_metadata},
    {"memory", FALSE, vmf_select_read_memory},
    {"peer", TRUE, vmf_select_read_peer},
    {"direction", FALSE, vmf_select_read_direction},
    {NULL, FALSE, NULL},
};

/* ---- <policy> ---- */

static gboolean
vmf_policy_read_extends(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const attributes[] = {"preset", NULL};

    (void)data; /* taken before the rest is read, wherever it stands */
    return vmf_xml_reader_attributes(reader, node, attributes) && vmf_xml_reader_leaf(reader, node);
}

static gboolean
vmf_policy_read_select(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    VmfPolicyRule *rule = data;

    return vmf_xml_reader_attributes(reader, node, vmf_no_attributes) &&
           vmf_xml_reader_children(reader, node, vmf_select_elements, rule->selectors);
}

/* The table of a policy's own elements and of those that change values. */
static gboolean
vmf_policy_read_value(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    VmfPolicyRule *rule = data;

    for (const VmfElement *element = vmf_policy_elements; element->name; element++)
        if (strcmp(element->name, (const char *)node->name) == 0)
            return element->read(reader, node, &rule->policy);
    g_assert_not_reached();
}

static const VmfElement vmf_rule_elements[] = {
    {"extends", FALSE, vmf_policy_read_extends},   {"select", FALSE, vmf_policy_read_select},
    {"limits", FALSE, vmf_policy_read_value},      {"engines", FALSE, vmf_policy_read_value},
    {"auto-enable", FALSE, vmf_policy_read_value}, {"failure", FALSE, vmf_policy_read_value},
    {"observe", FALSE, vmf_policy_read_value},     {NULL, FALSE, NULL},
};

/* What it is built on; balanced when it does not say. */
static const VmfPolicy *
vmf_policy_find_preset(const VmfXmlReader *reader, xmlNode *node)
{
    g_autofree char *name = NULL;
    const VmfPolicy *preset;

    while (node && (node->type != XML_ELEMENT_NODE || strcmp((const char *)node->name, "extends")))
        node = node->next;
    if (!node)
        return vmf_policy_default();
    name = vmf_xml_reader_attribute(node, "preset");
    preset = name ? vmf_policy_preset(name) : NULL;
    if (!preset)
        vmf_xml_reader_fail(reader, node,
                            "there is no preset '%s'; there are minimal-downtime, balanced, "
                            "always-converges, post-copy, evacuate",
                            name ? name : "");
    return preset;
}

static gboolean
vmf_policies_read_policy(VmfXmlReader *reader, xmlNode *node, gpointer data)
{
    static const char *const attributes[] = {"name", NULL};
    GPtrArray *rules = data;
    g_autofree char *name = vmf_xml_reader_attribute(node, "name");
    const VmfPolicy *preset;
    VmfPolicyRule *rule;

    if (!vmf_xml_reader_attributes(reader, node, attributes))
        return FALSE;
    if (!name || !*name)
        return vmf_xml_reader_fail(reader, node, "<policy> needs a 'name'");
    for (guint i = 0; i < rules->len; i++)
        if (g_str_equal(((VmfPolicyRule *)rules->pdata[i])->name, name))
            return vmf_xml_reader_fail(reader, node, "there are two policies of the name '%s'",
                                       name);
    preset = vmf_policy_find_preset(reader, node->children);
    if (!preset)
        return FALSE;
    rule = g_new0(VmfPolicyRule, 1);
    rule->policy = *preset;
    rule->name = g_steal_pointer(&name);
    rule->policy.name = rule->name;
    rule->file = g_strdup(reader->file);
    rule->selectors = g_ptr_array_new_with_free_func(vmf_selector_free);
    g_ptr_array_add(rules, rule);
    return vmf_xml_reader_children(reader, node, vmf_rule_elements, rule);
}

static const VmfElement vmf_root_elements[] = {
    {"policy", TRUE, vmf_policies_read_policy},
    {NULL, FALSE, NULL},
};

GPtrArray *
vmf_policy_file_parse(const char *text, const char *file, GError **error)
{
    g_autofree char *message = NULL;
    int line = 0;
    g_autoptr(xmlDoc) doc = vmf_xml_read(text, &line, &message);
    g_autoptr(GPtrArray) rules = g_ptr_array_new_with_free_func(vmf_policy_rule_free);
    VmfXmlReader reader = {.file = file, .error = error};
    GError *own = NULL;
    xmlNode *root;

    if (!error)
        reader.error = &own;
    if (!doc) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s:%d: %s", file, line,
                    message);
        return NULL;
    }
    root = xmlDocGetRootElement(doc);
    if (root->ns || strcmp((const char *)root->name, "policies") != 0)
        vmf_xml_reader_fail(&reader, root, "the file must begin with <policies>, not <%s>",
                            root->name);
    else if (vmf_xml_reader_attributes(&reader, root, vmf_no_attributes) &&
             vmf_xml_reader_children(&reader, root, vmf_root_elements, rules))
        return g_steal_pointer(&rules);
    g_clear_error(&own);
    return NULL;
}
