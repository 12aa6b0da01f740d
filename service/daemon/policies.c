/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/policies.h"

#include "base/log.h"

struct VmfPolicies {
    char *directory;
    GHashTable *files; /* name -> rules (GPtrArray of VmfPolicyRule), as last good */
    GPtrArray *rules;  /* all of them, in order; borrowed from `files` */
    VmfPoliciesChanged changed;
    gpointer data;
};

VmfPolicies *
vmf_policies_new(const char *directory)
{
    VmfPolicies *self = g_new0(VmfPolicies, 1);

    self->directory = g_strdup(directory);
    self->files =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    self->rules = g_ptr_array_new();
    return self;
}

void
vmf_policies_free(VmfPolicies *self)
{
    g_ptr_array_unref(self->rules);
    g_hash_table_unref(self->files);
    g_free(self->directory);
    g_free(self);
}

void
vmf_policies_set_listener(VmfPolicies *self, VmfPoliciesChanged changed, gpointer data)
{
    self->changed = changed;
    self->data = data;
}

static gint
vmf_compare_names(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

/* Sorted; without the folder there are none. */
static GPtrArray *
vmf_policies_list(VmfPolicies *self)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) folder = g_dir_open(self->directory, 0, NULL);
    const char *name;

    while (folder && (name = g_dir_read_name(folder)))
        if (g_str_has_suffix(name, ".xml"))
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, vmf_compare_names);
    return names;
}

/* The file's rules as they are now, or as they were when it was last good; NULL: never. */
static GPtrArray *
vmf_policies_read(VmfPolicies *self, const char *name, GPtrArray *problems)
{
    g_autofree char *path = g_build_filename(self->directory, name, NULL);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    GPtrArray *rules = NULL;
    GPtrArray *before = g_hash_table_lookup(self->files, name);

    if (g_file_get_contents(path, &text, NULL, &error))
        rules = vmf_policy_file_parse(text, path, &error);
    if (rules)
        return rules;
    vmf_warn(NULL, "%s; %s", error->message,
             before ? "its last good version stays in force" : "it is left out");
    g_ptr_array_add(problems, g_strdup(error->message));
    return before ? g_ptr_array_ref(before) : NULL;
}

char **
vmf_policies_reload(VmfPolicies *self)
{
    g_autoptr(GPtrArray) names = vmf_policies_list(self);
    GPtrArray *problems = g_ptr_array_new();
    GHashTable *files =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);

    g_ptr_array_set_size(self->rules, 0);
    for (guint i = 0; i < names->len; i++) {
        GPtrArray *rules = vmf_policies_read(self, names->pdata[i], problems);

        for (guint j = 0; rules && j < rules->len; j++)
            g_ptr_array_add(self->rules, rules->pdata[j]);
        if (rules)
            g_hash_table_insert(files, g_strdup(names->pdata[i]), rules);
    }
    g_hash_table_unref(self->files);
    self->files = files;
    vmf_info(NULL, "%u policies in force", self->rules->len);
    if (self->changed)
        self->changed(self->data);
    g_ptr_array_add(problems, NULL);
    return (char **)g_ptr_array_free(problems, FALSE);
}

VmfChosenPolicy *
vmf_policies_choose(VmfPolicies *self, const char *domain_xml, const char *peer, gboolean outgoing,
                    GError **error)
{
    g_autoptr(VmfPolicySubject) subject = vmf_policy_subject_new(domain_xml, peer, outgoing, error);

    return subject ? vmf_policy_choose(self->rules, subject) : NULL;
}

VmfChosenPolicy *
vmf_policies_choose_for(VmfPolicies *self, VmfPolicySubject *subject, const char *peer)
{
    vmf_policy_subject_set_peer(subject, peer);
    return vmf_policy_choose(self->rules, subject);
}
