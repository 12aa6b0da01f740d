/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/prober.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "probe/cache.h"

#define BROKEN_LIFETIME (60 * G_USEC_PER_SEC)
#define EMULATOR "emulator 2" /* counts on when more is asked of one */

typedef struct {
    VmfEmulator *emulator;
    gint64 until; /* monotonic, µs */
} Broken;

struct VmfProber {
    VmfCache *cache;
    char *user;
    GMutex lock;        /* held while an emulator is asked */
    GHashTable *broken; /* path -> Broken */
};

static void
broken_free(gpointer data)
{
    Broken *broken = data;

    vmf_emulator_free(broken->emulator);
    g_free(broken);
}

VmfProber *
vmf_prober_new(const char *cache_directory, const char *user)
{
    VmfProber *self = g_atomic_rc_box_new0(VmfProber);

    self->cache = vmf_cache_new(cache_directory);
    self->user = g_strdup(user);
    self->broken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, broken_free);
    g_mutex_init(&self->lock);
    return self;
}

VmfProber *
vmf_prober_ref(VmfProber *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
prober_clear(gpointer data)
{
    VmfProber *self = data;

    vmf_cache_free(self->cache);
    g_free(self->user);
    g_hash_table_unref(self->broken);
    g_mutex_clear(&self->lock);
}

void
vmf_prober_unref(VmfProber *self)
{
    g_atomic_rc_box_release_full(self, prober_clear);
}

/* Names a fact about a binary as it is now. */
static char *
key_of(const char *path, const char *what, const char *machine)
{
    struct stat info = {0};

    if (stat(path, &info) != 0)
        return NULL;
    return g_strdup_printf("%s\n%s\n%" G_GINT64_FORMAT "\n%" G_GINT64_FORMAT ".%09ld\n%s", what,
                           path, (gint64)info.st_size, (gint64)info.st_mtim.tv_sec,
                           info.st_mtim.tv_nsec, machine);
}

static GVariant *
load_variant(VmfProber *self, const char *key, const char *type)
{
    g_autoptr(GBytes) bytes = key ? vmf_cache_load(self->cache, key) : NULL;
    g_autoptr(GVariant) variant = NULL;

    if (!bytes)
        return NULL;
    variant = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(type), bytes, FALSE));
    return g_variant_is_normal_form(variant) ? g_steal_pointer(&variant) : NULL;
}

static void
store_variant(VmfProber *self, const char *key, GVariant *variant)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(variant);
    g_autoptr(GBytes) bytes = g_variant_get_data_as_bytes(owned);

    if (key)
        vmf_cache_store(self->cache, key, bytes);
}

static VmfEmulator *
copy_emulator(const VmfEmulator *emulator)
{
    g_autoptr(GVariant) variant = g_variant_ref_sink(vmf_emulator_to_variant(emulator, TRUE));

    return vmf_emulator_from_variant(variant);
}

/* The lock is held. */
static VmfEmulator *
ask_emulator(VmfProber *self, const char *path, const char *key)
{
    g_autoptr(VmfEmulator) emulator = NULL;
    Broken *broken = g_hash_table_lookup(self->broken, path);

    if (broken && broken->until > g_get_monotonic_time())
        return copy_emulator(broken->emulator);
    emulator = vmf_emulator_probe(path, self->user);
    g_hash_table_remove(self->broken, path);
    if (!emulator->problem) {
        store_variant(self, key, vmf_emulator_to_variant(emulator, TRUE));
        return g_steal_pointer(&emulator);
    }
    vmf_warn(NULL, "%s", emulator->message);
    broken = g_new0(Broken, 1);
    broken->emulator = copy_emulator(emulator);
    broken->until = g_get_monotonic_time() + BROKEN_LIFETIME;
    g_hash_table_replace(self->broken, g_strdup(path), broken);
    return g_steal_pointer(&emulator);
}

VmfEmulator *
vmf_prober_get_emulator(VmfProber *self, const char *path)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    g_autofree char *key = key_of(path, EMULATOR, "");
    g_autoptr(GVariant) known = load_variant(self, key, VMF_EMULATOR_FORMAT);
    VmfEmulator *emulator = known ? vmf_emulator_from_variant(known) : NULL;

    return emulator ? emulator : ask_emulator(self, path, key);
}

GBytes *
vmf_prober_get_dump(VmfProber *self, const char *path, const char *machine, char **ret_identity,
                    GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    g_autofree char *key = key_of(path, "dump", machine);
    GBytes *dump = key ? vmf_cache_load(self->cache, key) : NULL;

    if (!dump) {
        dump = vmf_emulator_dump(path, machine, self->user, error);
        if (dump && key)
            vmf_cache_store(self->cache, key, dump);
    }
    if (dump)
        *ret_identity = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, dump);
    return dump;
}

char **
vmf_prober_get_builtins(VmfProber *self, const char *path, const char *machine, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    g_autofree char *key = key_of(path, "builtins", machine);
    g_autoptr(GVariant) known = load_variant(self, key, "as");
    char **types;

    if (known)
        return g_variant_dup_strv(known, NULL);
    types = vmf_emulator_builtins(path, machine, self->user, error);
    if (types)
        store_variant(self, key, g_variant_new_strv((const char *const *)types, -1));
    return types;
}

static GVariant *
properties_to_variant(GHashTable *known)
{
    GVariantBuilder builder;
    GHashTableIter iter;
    gpointer type, names;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sas}"));
    g_hash_table_iter_init(&iter, known);
    while (g_hash_table_iter_next(&iter, &type, &names))
        g_variant_builder_add(&builder, "{s^as}", type, names);
    return g_variant_builder_end(&builder);
}

static GHashTable *
properties_from_variant(GVariant *variant)
{
    GHashTable *known =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_strfreev);
    GVariantIter iter;
    char *type;
    char **names;

    g_variant_iter_init(&iter, variant);
    while (g_variant_iter_next(&iter, "{s^as}", &type, &names))
        g_hash_table_replace(known, type, names);
    return known;
}

GHashTable *
vmf_prober_get_properties(VmfProber *self, const char *path, const char *const *types,
                          GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    g_autofree char *all = g_strjoinv(" ", (char **)types);
    g_autofree char *key = key_of(path, "properties", all);
    g_autoptr(GVariant) stored = load_variant(self, key, "a{sas}");
    GHashTable *known;

    if (stored)
        return properties_from_variant(stored);
    known = vmf_emulator_properties(path, types, self->user, error);
    if (known)
        store_variant(self, key, properties_to_variant(known));
    return known;
}

static char *
foreign_key(const char *label)
{
    return g_strconcat("foreign dump\n", label, NULL);
}

GBytes *
vmf_prober_find_dump(VmfProber *self, const char *label, char **ret_identity)
{
    g_autofree char *key = foreign_key(label);
    GBytes *dump = vmf_cache_load(self->cache, key);

    if (dump)
        *ret_identity = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, dump);
    return dump;
}

void
vmf_prober_keep_dump(VmfProber *self, const char *label, GBytes *dump)
{
    g_autofree char *key = foreign_key(label);

    vmf_cache_store(self->cache, key, dump);
}
