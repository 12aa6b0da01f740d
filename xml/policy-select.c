/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "xml/domain.h"
#include "xml/policy-private.h"

struct VmfPolicySubject {
    xmlDoc *doc;
    VmfDomainXml *domain;
    char *title;
    char *peer;
    gboolean outgoing;
};

VmfPolicySubject *
vmf_policy_subject_new(const char *domain_xml, const char *peer, gboolean outgoing, GError **error)
{
    g_autoptr(VmfDomainXml) domain = vmf_domain_xml_parse(domain_xml, error);
    g_autoptr(xmlXPathContext) context = NULL;
    VmfPolicySubject *self;

    if (!domain)
        return NULL;
    self = g_new0(VmfPolicySubject, 1);
    self->doc = vmf_xml_parse(domain_xml, "domain XML", NULL);
    self->domain = g_steal_pointer(&domain);
    context = xmlXPathNewContext(self->doc);
    self->title = vmf_xpath_string(context, "/domain/title");
    self->peer = g_strdup(peer);
    self->outgoing = outgoing;
    return self;
}

void
vmf_policy_subject_set_peer(VmfPolicySubject *self, const char *peer)
{
    g_free(self->peer);
    self->peer = g_strdup(peer);
}

void
vmf_policy_subject_free(VmfPolicySubject *self)
{
    xmlFreeDoc(self->doc);
    vmf_domain_xml_free(self->domain);
    g_free(self->title);
    g_free(self->peer);
    g_free(self);
}

/* ---- selecting ---- */

static gboolean
vmf_glob_matches(const char *glob, const char *text)
{
    return text && g_pattern_match_simple(glob, text);
}

static xmlNode *
vmf_subject_find_metadata(const VmfPolicySubject *self)
{
    xmlNode *node = xmlDocGetRootElement(self->doc)->children;

    while (node && (node->ns || g_strcmp0((const char *)node->name, "metadata") != 0))
        node = node->next;
    return node;
}

/* The next element of that namespace and name from `node` on, below it or beside it. */
static xmlNode *
vmf_metadata_find(xmlNode *node, const char *namespace, const char *element)
{
    xmlNode *found = NULL;

    for (; node && !found; node = node->next) {
        if (node->type != XML_ELEMENT_NODE)
            continue;
        if (node->ns && g_str_equal((const char *)node->ns->href, namespace) &&
            g_str_equal((const char *)node->name, element))
            return node;
        found = vmf_metadata_find(node->children, namespace, element);
    }
    return found;
}

static gboolean
vmf_selector_matches_metadata(const VmfSelector *selector, const VmfPolicySubject *subject)
{
    xmlNode *metadata = vmf_subject_find_metadata(subject);
    xmlNode *node =
        metadata ? vmf_metadata_find(metadata->children, selector->namespace, selector->element)
                 : NULL;
    xmlChar *content = node ? xmlNodeGetContent(node) : NULL;
    g_autofree char *text = content ? g_strstrip(g_strdup((const char *)content)) : NULL;

    xmlFree(content);
    return vmf_glob_matches(selector->text, text);
}

static gboolean
vmf_selector_matches(const VmfSelector *self, const VmfPolicySubject *subject)
{
    switch (self->kind) {
    case VMF_SELECT_NAME:
        return vmf_glob_matches(self->text, subject->domain->name);
    case VMF_SELECT_UUID:
        return g_ascii_strcasecmp(self->text, subject->domain->uuid) == 0;
    case VMF_SELECT_TITLE:
        return vmf_glob_matches(self->text, subject->title);
    case VMF_SELECT_PEER:
        return vmf_glob_matches(self->text, subject->peer);
    case VMF_SELECT_DIRECTION:
        return g_str_equal(self->text, subject->outgoing ? "out" : "in");
    case VMF_SELECT_METADATA:
        return vmf_selector_matches_metadata(self, subject);
    default:
        return subject->domain->memory >= self->least && subject->domain->memory <= self->most;
    }
}

gboolean
vmf_policy_rule_matches(const VmfPolicyRule *rule, const VmfPolicySubject *subject)
{
    guint wanted = 0;
    guint matched = 0;

    for (guint i = 0; i < rule->selectors->len; i++) {
        const VmfSelector *selector = rule->selectors->pdata[i];

        wanted |= 1u << selector->kind;
        if (vmf_selector_matches(selector, subject))
            matched |= 1u << selector->kind;
    }
    return wanted == matched;
}

/* ---- merging ---- */

/* What a guest that has no wish wishes: everything. */
static const VmfPolicy vmf_no_wish = {
    .name = "wishes",
    .downtime = G_MAXUINT,
    .downtime_max = G_MAXUINT,
    .downtime_step = G_MAXUINT,
    .cache_share = 1,
    .cpu_share = 1,
    .engines = VMF_ENGINES_ALL,
    .ways = VMF_WAY_ALL,
    .observe = TRUE,
};

static void
vmf_chosen_policy_heed(VmfChosenPolicy *chosen, const VmfPolicySubject *subject)
{
    xmlNode *metadata = vmf_subject_find_metadata(subject);
    xmlNode *node =
        metadata ? vmf_metadata_find(metadata->children, VMF_WISHES_NAMESPACE, "policy") : NULL;
    static const char *const none[] = {NULL};
    g_autoptr(GError) error = NULL;
    g_autofree char *file = g_strdup_printf("metadata of %s", subject->domain->name);
    VmfXmlReader reader = {.file = file, .namespace = VMF_WISHES_NAMESPACE, .error = &error};
    VmfPolicy wish = vmf_no_wish;

    if (!node)
        return;
    if (!vmf_xml_reader_attributes(&reader, node, none) ||
        !vmf_xml_reader_children(&reader, node, vmf_policy_elements, &wish)) {
        chosen->problem = g_strdup(error->message);
        return;
    }
    vmf_policy_narrow(&chosen->policy, &wish);
    chosen->wishes = TRUE;
}

VmfChosenPolicy *
vmf_policy_choose(const GPtrArray *rules, const VmfPolicySubject *subject)
{
    VmfChosenPolicy *chosen = g_new0(VmfChosenPolicy, 1);
    const VmfPolicyRule *found = NULL;

    for (guint i = 0; i < rules->len && !found; i++)
        if (vmf_policy_rule_matches(rules->pdata[i], subject))
            found = rules->pdata[i];
    chosen->policy = found ? found->policy : *vmf_policy_default();
    chosen->name = g_strdup(chosen->policy.name);
    chosen->policy.name = chosen->name;
    chosen->file = g_strdup(found ? found->file : NULL);
    vmf_chosen_policy_heed(chosen, subject);
    return chosen;
}

void
vmf_chosen_policy_free(VmfChosenPolicy *chosen)
{
    g_free(chosen->name);
    g_free(chosen->file);
    g_free(chosen->problem);
    g_free(chosen);
}

/* ---- showing ---- */

static void
vmf_describe_add(GPtrArray *rows, const char *name, char *value)
{
    g_ptr_array_add(rows, g_strdup(name));
    g_ptr_array_add(rows, value);
}

static char *
vmf_describe_limit(guint64 value, const char *unit)
{
    return value ? g_strdup_printf("%" G_GUINT64_FORMAT " %s", value, unit) : g_strdup("none");
}

GPtrArray *
vmf_policy_describe(const VmfPolicy *policy)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func(g_free);

    vmf_describe_add(rows, "preset", g_strdup(policy->preset));
    vmf_describe_add(rows, "bandwidth", vmf_describe_limit(policy->bandwidth >> 20, "MiB/s"));
    vmf_describe_add(rows, "downtime allowed", g_strdup_printf("%u ms", policy->downtime));
    vmf_describe_add(rows, "downtime max", g_strdup_printf("%u ms", policy->downtime_max));
    vmf_describe_add(rows, "downtime step", vmf_describe_limit(policy->downtime_step, "ms"));
    vmf_describe_add(rows, "deadline", vmf_describe_limit(policy->deadline, "s"));
    vmf_describe_add(rows, "deadline per GiB", vmf_describe_limit(policy->deadline_gib, "s"));
    vmf_describe_add(rows, "at the deadline",
                     g_strdup(vmf_deadline_action_words()[policy->on_deadline]));
    vmf_describe_add(rows, "cache memory", vmf_describe_limit(policy->cache_memory >> 20, "MiB"));
    vmf_describe_add(rows, "cache share", g_strdup_printf("%.0f %%", policy->cache_share * 100));
    vmf_describe_add(rows, "cpu share", g_strdup_printf("%.0f %%", policy->cpu_share * 100));
    vmf_describe_add(rows, "compression", g_strdup(vmf_compression_words()[policy->compression]));
    vmf_describe_add(rows, "engines", vmf_policy_format_set(policy->engines, vmf_engine_words()));
    vmf_describe_add(rows, "auto-enable", vmf_policy_format_set(policy->ways, vmf_way_words()));
    vmf_describe_add(rows, "failure", g_strdup(policy->fail_closed ? "closed" : "open"));
    vmf_describe_add(rows, "observe ahead", g_strdup(policy->observe ? "yes" : "no"));
    return rows;
}

GVariant *
vmf_chosen_policy_to_variant(const VmfChosenPolicy *chosen)
{
    g_autoptr(GPtrArray) rows = vmf_policy_describe(&chosen->policy);
    GVariantBuilder values;
    GVariantDict dict;

    g_variant_builder_init(&values, G_VARIANT_TYPE("a(ss)"));
    for (guint i = 0; i < rows->len; i += 2)
        g_variant_builder_add(&values, "(ss)", rows->pdata[i], rows->pdata[i + 1]);
    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "name", "s", chosen->name);
    g_variant_dict_insert(&dict, "file", "s", chosen->file ? chosen->file : "");
    g_variant_dict_insert(&dict, "wishes", "b", chosen->wishes);
    g_variant_dict_insert(&dict, "problem", "s", chosen->problem ? chosen->problem : "");
    g_variant_dict_insert_value(&dict, "values", g_variant_builder_end(&values));
    return g_variant_dict_end(&dict);
}
