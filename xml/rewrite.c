/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/rewrite.h"

#include <string.h>

#include "base/error.h"
#include "xml/parse.h"

/* IFNAMSIZ, with its NUL. */
#define VMF_BRIDGE_MAX 15

typedef gboolean (*VmfValueCheck)(const char *value);

/* One group of the file. */
typedef struct {
    const char *group;
    const char *where; /* XPath of the attributes and elements whose text it is */
    gboolean prefix;   /* the rule is for what begins so, not for the whole */
    VmfValueCheck is_valid;
    const char *expected;
} VmfRewriteKind;

typedef struct {
    const VmfRewriteKind *kind;
    char *from, *to;
} VmfRewriteRule;

struct VmfRewrite {
    GArray *rules; /* VmfRewriteRule, in the file's order */
};

static gboolean
vmf_value_is_path(const char *value)
{
    return g_path_is_absolute(value);
}

static gboolean
vmf_value_is_name(const char *value)
{
    for (const char *c = value; *c; c++)
        if (g_ascii_iscntrl(*c) || *c == '/')
            return FALSE;
    return *value != '\0';
}

static gboolean
vmf_value_is_bridge(const char *value)
{
    return vmf_value_is_name(value) && strlen(value) <= VMF_BRIDGE_MAX && !strchr(value, ' ');
}

static gboolean
vmf_value_is_model(const char *value)
{
    for (const char *c = value; *c; c++)
        if (!g_ascii_isalnum(*c) && *c != '-' && *c != '_' && *c != '.')
            return FALSE;
    return *value != '\0';
}

static const VmfRewriteKind vmf_rewrite_kinds[] = {
    {"Paths",
     "/domain/devices/disk/source/@file | /domain/devices/disk/source/@dev |"
     "/domain/devices/disk/source/@dir | /domain/devices/disk//backingStore/source/@file |"
     "/domain/devices/filesystem/source/@dir | /domain/os/kernel | /domain/os/initrd |"
     "/domain/os/loader | /domain/os/nvram | /domain/os/dtb",
     TRUE, vmf_value_is_path, "an absolute path"},
    {"Networks", "/domain/devices/interface/source/@network", FALSE, vmf_value_is_name,
     "the name of a network"},
    {"Bridges", "/domain/devices/interface/source/@bridge", FALSE, vmf_value_is_bridge,
     "the name of a bridge"},
    {"Emulators", "/domain/devices/emulator", FALSE, vmf_value_is_path, "an absolute path"},
    {"CpuModels", "/domain/cpu/model", FALSE, vmf_value_is_model, "the name of a CPU model"},
};

static void
vmf_rewrite_rule_clear(gpointer data)
{
    VmfRewriteRule *rule = data;

    g_free(rule->from);
    g_free(rule->to);
}

void
vmf_rewrite_free(VmfRewrite *self)
{
    g_array_unref(self->rules);
    g_free(self);
}

static const VmfRewriteKind *
vmf_rewrite_find_kind(const char *group)
{
    for (guint i = 0; i < G_N_ELEMENTS(vmf_rewrite_kinds); i++)
        if (g_str_equal(group, vmf_rewrite_kinds[i].group))
            return &vmf_rewrite_kinds[i];
    return NULL;
}

static gboolean
vmf_rewrite_add(VmfRewrite *self, const VmfRewriteKind *kind, const char *from, char *to,
                const char *file, GError **error)
{
    const VmfRewriteRule rule = {kind, g_strdup(from), to};

    g_array_append_val(self->rules, rule);
    if (kind->is_valid(from) && kind->is_valid(to))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: [%s] %s: '%s' is not %s", file,
                kind->group, from, kind->is_valid(from) ? to : from, kind->expected);
    return FALSE;
}

static gboolean
vmf_rewrite_read_group(VmfRewrite *self, GKeyFile *keys, const char *group, const char *file,
                       GError **error)
{
    const VmfRewriteKind *kind = vmf_rewrite_find_kind(group);
    g_auto(GStrv) names = g_key_file_get_keys(keys, group, NULL, NULL);

    if (!kind) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION,
                    "%s: [%s]: expected Paths, Networks, Bridges, Emulators or CpuModels", file,
                    group);
        return FALSE;
    }
    for (char **name = names; name && *name; name++) {
        g_autoptr(GError) problem = NULL;
        char *to = g_key_file_get_string(keys, group, *name, &problem);

        if (!to) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: [%s] %s: %s", file,
                        group, *name, problem->message);
            return FALSE;
        }
        if (!vmf_rewrite_add(self, kind, *name, to, file, error))
            return FALSE;
    }
    return TRUE;
}

VmfRewrite *
vmf_rewrite_parse(const char *text, const char *file, GError **error)
{
    g_autoptr(VmfRewrite) self = g_new0(VmfRewrite, 1);
    g_autoptr(GKeyFile) keys = g_key_file_new();
    g_autoptr(GError) problem = NULL;
    g_auto(GStrv) groups = NULL;

    self->rules = g_array_new(FALSE, FALSE, sizeof(VmfRewriteRule));
    g_array_set_clear_func(self->rules, vmf_rewrite_rule_clear);
    if (!g_key_file_load_from_data(keys, text, (gsize)-1, G_KEY_FILE_NONE, &problem)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: %s", file,
                    problem->message);
        return NULL;
    }
    groups = g_key_file_get_groups(keys, NULL);
    for (char **group = groups; *group; group++)
        if (!vmf_rewrite_read_group(self, keys, *group, file, error))
            return NULL;
    return g_steal_pointer(&self);
}

/* What becomes of a value, or NULL when the rule is not for it. */
static char *
vmf_rewrite_value(const VmfRewriteRule *rule, const char *value)
{
    if (!rule->kind->prefix)
        return g_str_equal(value, rule->from) ? g_strdup(rule->to) : NULL;
    if (!g_str_has_prefix(value, rule->from))
        return NULL;
    return g_strconcat(rule->to, value + strlen(rule->from), NULL);
}

static void
vmf_rewrite_node(const VmfRewriteRule *rule, xmlNode *node, GPtrArray *changes)
{
    xmlChar *before = xmlNodeGetContent(node);
    g_autofree char *after = before ? vmf_rewrite_value(rule, (const char *)before) : NULL;

    if (after) {
        /* of text that is not yet XML: what is special there is escaped */
        xmlChar *escaped = xmlEncodeSpecialChars(node->doc, (const xmlChar *)after);

        xmlNodeSetContent(node, escaped);
        xmlFree(escaped);
        g_ptr_array_add(changes,
                        g_strdup_printf("%s %s: %s -> %s", (const char *)node->parent->name,
                                        (const char *)node->name, (const char *)before, after));
    }
    xmlFree(before);
}

/* A value is changed by the first rule that is for it, so that rules can swap two names. */
static void
vmf_rewrite_kind(const VmfRewrite *self, const VmfRewriteKind *kind, xmlXPathContext *context,
                 GPtrArray *changes)
{
    g_autoptr(xmlXPathObject) found = xmlXPathEval((const xmlChar *)kind->where, context);
    int n = found && found->nodesetval ? found->nodesetval->nodeNr : 0;

    for (int i = 0; i < n; i++) {
        guint before = changes->len;

        for (guint r = 0; r < self->rules->len && changes->len == before; r++) {
            const VmfRewriteRule *rule = &g_array_index(self->rules, VmfRewriteRule, r);

            if (rule->kind == kind)
                vmf_rewrite_node(rule, found->nodesetval->nodeTab[i], changes);
        }
    }
}

char *
vmf_rewrite_apply(const VmfRewrite *self, const char *xml, GStrv *ret_changes, GError **error)
{
    g_autoptr(xmlDoc) doc = vmf_xml_parse(xml, "domain XML", error);
    g_autoptr(xmlXPathContext) context = NULL;
    g_autoptr(GPtrArray) changes = NULL;
    xmlChar *text = NULL;
    char *result;

    if (!doc)
        return NULL;
    context = xmlXPathNewContext(doc);
    changes = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < G_N_ELEMENTS(vmf_rewrite_kinds); i++)
        vmf_rewrite_kind(self, &vmf_rewrite_kinds[i], context, changes);
    if (changes->len == 0)
        return NULL;
    g_ptr_array_add(changes, NULL);
    *ret_changes = (GStrv)g_ptr_array_free(g_steal_pointer(&changes), FALSE);
    xmlDocDumpMemoryEnc(doc, &text, NULL, "UTF-8");
    result = g_strdup((const char *)text);
    xmlFree(text);
    return result;
}
