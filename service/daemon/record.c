/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/record.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define VMF_RECORD_NEW ".new" /* behind the name while it is written */
#define VMF_RECORD_GROUP "vmferry"

char *
vmf_record_path(const char *run_directory, const char *id)
{
    g_autofree char *name = g_strconcat(id, VMF_RECORD_SUFFIX, NULL);

    return g_build_filename(run_directory, "pumps", name, NULL);
}

/* ---- writing ---- */

static void
vmf_record_add_section(GKeyFile *file, const char *name, GVariant *values)
{
    GVariantIter iter;
    const char *key;
    GVariant *value;

    g_variant_iter_init(&iter, values);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &value)) {
        g_autofree char *text = g_variant_print(value, TRUE);

        g_key_file_set_string(file, name, key, text);
    }
}

gboolean
vmf_record_write(const char *path, GVariant *sections, GError **error)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(sections);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *new = g_strconcat(path, VMF_RECORD_NEW, NULL);
    g_autofree char *text = NULL;
    GVariantIter iter;
    const char *name;
    GVariant *values;

    g_key_file_set_integer(file, VMF_RECORD_GROUP, "Version", VMF_RECORD_VERSION);
    g_variant_iter_init(&iter, owned);
    while (g_variant_iter_loop(&iter, "{&s@a{sv}}", &name, &values))
        vmf_record_add_section(file, name, values);
    text = g_key_file_to_data(file, NULL, NULL);
    /* Without fsync: what matters is that another process sees all of it, or what was before. */
    if (g_file_set_contents_full(new, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, error) &&
        g_rename(new, path) == 0)
        return TRUE;
    if (error && !*error)
        vmf_error_set_errno(error, path);
    (void)g_unlink(new);
    return FALSE;
}

void
vmf_record_remove(const char *path)
{
    (void)g_unlink(path);
}

/* ---- reading ---- */

static gboolean
vmf_record_refuse(GError **error, const char *path, const char *why)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: %s", path, why);
    return FALSE;
}

static gboolean
vmf_record_check_file(int fd, const char *path, gsize *ret_size, GError **error)
{
    struct stat status;

    if (fd < 0 || fstat(fd, &status) != 0)
        return vmf_record_refuse(error, path, g_strerror(errno));
    if (!S_ISREG(status.st_mode))
        return vmf_record_refuse(error, path, "not a file");
    if (status.st_uid != geteuid() || status.st_mode & 077)
        return vmf_record_refuse(error, path, "others can write or read it");
    if (status.st_size > VMF_RECORD_BYTES_MAX)
        return vmf_record_refuse(error, path, "too large");
    *ret_size = (gsize)status.st_size;
    return TRUE;
}

static char *
vmf_record_load(const char *path, gsize *ret_size, GError **error)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    gsize size = 0;
    g_autofree char *text = NULL;

    if (vmf_record_check_file(fd, path, &size, error)) {
        ssize_t got;

        text = g_malloc(size + 1);
        got = read(fd, text, size);
        *ret_size = got > 0 ? (gsize)got : 0;
        text[*ret_size] = '\0';
    }
    if (fd >= 0)
        close(fd);
    return g_steal_pointer(&text);
}

/* a{sv}; floating. */
static GVariant *
vmf_record_parse_section(GKeyFile *file, const char *name, const char *path, GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(file, name, NULL, NULL);
    GVariantBuilder values;

    g_variant_builder_init(&values, G_VARIANT_TYPE_VARDICT);
    for (char **key = keys; *key; key++) {
        g_autofree char *text = g_key_file_get_string(file, name, *key, NULL);
        g_autoptr(GVariant) value = text ? g_variant_parse(NULL, text, NULL, NULL, NULL) : NULL;

        if (!value) {
            g_variant_builder_clear(&values);
            g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: [%s] %s is no value",
                        path, name, *key);
            return NULL;
        }
        g_variant_builder_add(&values, "{sv}", *key, value);
    }
    return g_variant_builder_end(&values);
}

static gboolean
vmf_record_check_version(GKeyFile *file, const char *path, GError **error)
{
    int version = g_key_file_get_integer(file, VMF_RECORD_GROUP, "Version", NULL);

    if (version == VMF_RECORD_VERSION)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION,
                "%s: version %d, this vmferryd reads %d", path, version, VMF_RECORD_VERSION);
    return FALSE;
}

GVariant *
vmf_record_read(const char *path, GError **error)
{
    gsize size = 0;
    g_autofree char *text = vmf_record_load(path, &size, error);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_auto(GStrv) groups = NULL;
    GVariantBuilder sections;

    if (!text)
        return NULL;
    /* what libraries take for text must be some */
    if (!g_utf8_validate(text, (gssize)size, NULL) ||
        !g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, NULL)) {
        vmf_record_refuse(error, path, "not a key file");
        return NULL;
    }
    if (!vmf_record_check_version(file, path, error))
        return NULL;
    groups = g_key_file_get_groups(file, NULL);
    g_variant_builder_init(&sections, G_VARIANT_TYPE("a{sa{sv}}"));
    for (char **group = groups; *group; group++) {
        GVariant *values = g_str_equal(*group, VMF_RECORD_GROUP)
                               ? g_variant_new("a{sv}", NULL)
                               : vmf_record_parse_section(file, *group, path, error);

        if (!values) {
            g_variant_builder_clear(&sections);
            return NULL;
        }
        g_variant_builder_add(&sections, "{s@a{sv}}", *group, values);
    }
    return g_variant_ref_sink(g_variant_builder_end(&sections));
}

GPtrArray *
vmf_record_list(const char *run_directory)
{
    g_autofree char *folder = g_build_filename(run_directory, "pumps", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        if (g_str_has_suffix(name, VMF_RECORD_SUFFIX))
            g_ptr_array_add(paths, g_steal_pointer(&path));
        else if (g_str_has_suffix(name, VMF_RECORD_SUFFIX VMF_RECORD_NEW))
            (void)g_unlink(path);
    }
    return paths;
}

GVariant *
vmf_record_get_section(GVariant *sections, const char *name)
{
    GVariant *values = g_variant_lookup_value(sections, name, G_VARIANT_TYPE_VARDICT);

    return values ? values : g_variant_ref_sink(g_variant_new("a{sv}", NULL));
}
