/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/cache.h"

#include <gio/gio.h>
#include <glib/gstdio.h>

#include "base/log.h"

#define FORMAT 1u
#define TYPE "(ussay)" /* format, key, SHA-256 of the value, value */
#define SUFFIX ".cache"

struct VmfCache {
    char *directory;
    GMutex lock; /* for the following */
    gboolean complained;
};

VmfCache *
vmf_cache_new(const char *directory)
{
    VmfCache *self = g_new0(VmfCache, 1);

    self->directory = g_strdup(directory);
    g_mutex_init(&self->lock);
    return self;
}

void
vmf_cache_free(VmfCache *self)
{
    if (!self)
        return;
    g_mutex_clear(&self->lock);
    g_free(self->directory);
    g_free(self);
}

static char *
path_of(VmfCache *self, const char *key)
{
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);
    g_autofree char *name = g_strconcat(hash, SUFFIX, NULL);

    return g_build_filename(self->directory, name, NULL);
}

/* One line, not one for each file. */
static void
complain(VmfCache *self, const char *path, const char *what)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (!self->complained)
        vmf_warn(NULL, "%s: %s; going on without it", path, what);
    self->complained = TRUE;
}

static GBytes *
read_entry(GVariant *entry, const char *key)
{
    g_autofree char *hash = NULL;
    g_autoptr(GVariant) value = NULL;
    g_autoptr(GBytes) bytes = NULL;
    const char *stored_key, *stored_hash;
    guint format;

    if (!g_variant_is_normal_form(entry))
        return NULL;
    g_variant_get(entry, "(u&s&s@ay)", &format, &stored_key, &stored_hash, &value);
    if (format != FORMAT || !g_str_equal(stored_key, key))
        return NULL;
    bytes = g_variant_get_data_as_bytes(value);
    hash = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);
    return g_str_equal(hash, stored_hash) ? g_steal_pointer(&bytes) : NULL;
}

GBytes *
vmf_cache_load(VmfCache *self, const char *key)
{
    g_autofree char *path = path_of(self, key);
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, NULL);
    g_autoptr(GBytes) content = NULL;
    g_autoptr(GVariant) entry = NULL;
    GBytes *value = NULL;

    if (!file)
        return NULL;
    if (g_mapped_file_get_length(file) < VMF_CACHE_ENTRY_MAX + 4096) {
        content = g_mapped_file_get_bytes(file);
        entry = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(TYPE), content, FALSE));
        value = read_entry(entry, key);
    }
    if (!value)
        complain(self, path, "is damaged, or of another version");
    return value;
}

typedef struct {
    char *path;
    gint64 mtime;
} File;

static void
file_clear(gpointer data)
{
    g_free(((File *)data)->path);
}

static gint
newest_first(gconstpointer a, gconstpointer b)
{
    gint64 left = ((const File *)a)->mtime;
    gint64 right = ((const File *)b)->mtime;

    return left < right ? 1 : left > right ? -1 : 0;
}

static void
remove_old(VmfCache *self)
{
    g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(File));
    g_autoptr(GDir) directory = g_dir_open(self->directory, 0, NULL);

    g_array_set_clear_func(files, file_clear);
    for (const char *name; directory && (name = g_dir_read_name(directory));) {
        File file = {.path = g_build_filename(self->directory, name, NULL)};
        GStatBuf info;

        if (g_str_has_suffix(name, SUFFIX) && g_stat(file.path, &info) == 0) {
            file.mtime = info.st_mtime;
            g_array_append_val(files, file);
        } else {
            file_clear(&file);
        }
    }
    g_array_sort(files, newest_first);
    for (guint i = VMF_CACHE_FILES; i < files->len; i++)
        (void)g_unlink(g_array_index(files, File, i).path);
}

void
vmf_cache_store(VmfCache *self, const char *key, GBytes *value)
{
    g_autofree char *path = path_of(self, key);
    g_autofree char *hash = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, value);
    g_autoptr(GVariant) bytes =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, value, TRUE));
    g_autoptr(GVariant) entry =
        g_variant_ref_sink(g_variant_new("(uss@ay)", FORMAT, key, hash, bytes));
    g_autoptr(GError) error = NULL;

    if (g_bytes_get_size(value) > VMF_CACHE_ENTRY_MAX)
        return;
    if (g_mkdir_with_parents(self->directory, 0700) != 0 ||
        !g_file_set_contents_full(path, g_variant_get_data(entry),
                                  (gssize)g_variant_get_size(entry), G_FILE_SET_CONTENTS_CONSISTENT,
                                  0600, &error))
        complain(self, path, error ? error->message : "cannot be written");
    else
        remove_old(self);
}
