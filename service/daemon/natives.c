/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/natives.h"

#include "base/log.h"
#include "daemon/guest.h"
#include "xml/domain.h"

#define VMF_NATIVES_LIFETIME (60 * G_USEC_PER_SEC)

struct _VmfNatives {
    GObject parent;
    VmfLibvirt *libvirt;
    char *uri;
    VmfProber *prober;
    gboolean asking;
    gint64 asked; /* monotonic, µs */

    GMutex lock;
    GHashTable *known; /* path -> VmfNative; NULL: nothing is */
};

G_DEFINE_FINAL_TYPE(VmfNatives, vmf_natives, G_TYPE_OBJECT)

static guint vmf_natives_changed;

/* ---- what is known ---- */

static void
vmf_natives_narrow_all(GHashTable *known, VmfNative *ret)
{
    GHashTableIter iter;
    gpointer native;
    gboolean first = TRUE;

    *ret = (VmfNative){FALSE, FALSE, 0};
    g_hash_table_iter_init(&iter, known);
    for (; g_hash_table_iter_next(&iter, NULL, &native); first = FALSE) {
        if (first)
            *ret = *(const VmfNative *)native;
        else
            vmf_native_narrow(ret, native);
    }
}

const VmfNative *
vmf_natives_peek(VmfNatives *self, const char *path, VmfNative *buffer)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    const VmfNative *native;

    if (!self->known)
        return NULL;
    native = path ? g_hash_table_lookup(self->known, path) : NULL;
    if (native)
        *buffer = *native;
    else
        vmf_natives_narrow_all(self->known, buffer);
    return buffer;
}

static gboolean
vmf_natives_are_equal(GHashTable *one, GHashTable *other)
{
    GHashTableIter iter;
    gpointer path, value;

    if (!one || !other || g_hash_table_size(one) != g_hash_table_size(other))
        return one == other;
    g_hash_table_iter_init(&iter, one);
    while (g_hash_table_iter_next(&iter, &path, &value)) {
        const VmfNative *here = value;
        const VmfNative *there = g_hash_table_lookup(other, path);

        if (!there || here->xbzrle != there->xbzrle || here->multifd != there->multifd ||
            here->compressions != there->compressions)
            return FALSE;
    }
    return TRUE;
}

/* Takes `known`. */
static void
vmf_natives_set(VmfNatives *self, GHashTable *known)
{
    gboolean same;

    g_mutex_lock(&self->lock);
    same = vmf_natives_are_equal(self->known, known);
    g_clear_pointer(&self->known, g_hash_table_unref);
    self->known = known;
    g_mutex_unlock(&self->lock);
    if (!same)
        g_signal_emit(self, vmf_natives_changed, 0);
}

/* ---- asking (workers) ---- */

VmfHostFacts *
vmf_natives_gather(virConnectPtr connection)
{
    VmfHostSources sources = {0};

    if (virConnectGetLibVersion(connection, &sources.libvirt_version) < 0)
        return NULL;
    return vmf_host_facts_gather(&sources);
}

/* FALSE: it does not answer, and counts as none. */
static gboolean
vmf_natives_find(VmfNatives *self, const char *path, const VmfHostFacts *host, VmfNative *ret)
{
    g_autoptr(VmfEmulator) emulator = vmf_prober_get_emulator(self->prober, path);

    vmf_native_find(emulator, (const char *const *)host->migrate_parameters, ret);
    return emulator->problem == NULL;
}

static GHashTable *
vmf_natives_ask_all(VmfNatives *self, virConnectPtr connection)
{
    g_autoptr(VmfHostFacts) host = vmf_natives_gather(connection);
    char *xml = host ? virConnectGetCapabilities(connection) : NULL;
    g_auto(GStrv) paths = xml ? vmf_capabilities_xml_get_emulators(xml) : NULL;
    GHashTable *known = NULL;

    free(xml);           /* libvirt's own allocation */
    if (paths && *paths) /* a driver of libvirt's that knows of none has said nothing */
        known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (char **path = paths; path && *path; path++) {
        VmfNative native;

        if (vmf_natives_find(self, *path, host, &native))
            g_hash_table_replace(known, g_strdup(*path), g_memdup2(&native, sizeof native));
    }
    return known;
}

static void
vmf_natives_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfNatives *self = source;
    GError *error = NULL;
    g_autoptr(virConnect) connection = vmf_libvirt_open(self->uri, &error);
    GHashTable *known = connection ? vmf_natives_ask_all(self, connection) : NULL;

    if (error)
        g_task_return_error(task, error);
    else
        g_task_return_pointer(task, known, (GDestroyNotify)g_hash_table_unref);
}

/* The guest's domain XML; the caller's, NULL when it is gone. */
static char *
vmf_natives_read_guest(virConnectPtr connection, const char *uuid)
{
    g_autoptr(virDomain) domain = vmf_guest_lookup(connection, uuid, NULL);
    char *text = domain ? virDomainGetXMLDesc(domain, 0) : NULL;
    char *xml = g_strdup(text);

    free(text); /* libvirt's own allocation */
    return xml;
}

const VmfNative *
vmf_natives_ask(VmfNatives *self, const char *uuid, VmfNative *buffer, char **ret_path)
{
    g_autoptr(virConnect) connection = vmf_libvirt_open(self->uri, NULL);
    g_autofree char *xml = connection ? vmf_natives_read_guest(connection, uuid) : NULL;
    g_autoptr(VmfDomainXml) domain = xml ? vmf_domain_xml_parse(xml, NULL) : NULL;
    g_autoptr(VmfHostFacts) host = NULL;

    *ret_path = domain ? g_strdup(domain->emulator) : NULL;
    if (*ret_path)
        host = vmf_natives_gather(connection);
    if (!host)
        return vmf_natives_peek(self, NULL, buffer);
    vmf_natives_find(self, *ret_path, host, buffer);
    return buffer;
}

/* ---- its life (main loop) ---- */

static void
vmf_natives_done(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfNatives *self = VMF_NATIVES(source);
    g_autoptr(GError) error = NULL;
    GHashTable *known = g_task_propagate_pointer(G_TASK(result), &error);

    self->asking = FALSE;
    if (error)
        vmf_debug(NULL, "what the emulators can do is not known: %s", error->message);
    else
        vmf_natives_set(self, known);
}

static void
vmf_natives_start(VmfNatives *self)
{
    g_autoptr(GTask) task = NULL;

    if (self->asking)
        return;
    self->asking = TRUE;
    self->asked = g_get_monotonic_time();
    task = g_task_new(self, NULL, vmf_natives_done, NULL);
    vmf_workers_run(vmf_libvirt_get_workers(self->libvirt), task, vmf_natives_thread);
}

void
vmf_natives_refresh(VmfNatives *self)
{
    if (vmf_libvirt_is_connected(self->libvirt) &&
        g_get_monotonic_time() - self->asked > VMF_NATIVES_LIFETIME)
        vmf_natives_start(self);
}

static void
vmf_natives_on_connected(VmfLibvirt *libvirt, gboolean connected, VmfNatives *self)
{
    if (connected)
        vmf_natives_start(self);
}

static void
vmf_natives_finalize(GObject *object)
{
    VmfNatives *self = VMF_NATIVES(object);

    g_clear_object(&self->libvirt);
    g_clear_pointer(&self->prober, vmf_prober_unref);
    g_clear_pointer(&self->known, g_hash_table_unref);
    g_free(self->uri);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(vmf_natives_parent_class)->finalize(object);
}

static void
vmf_natives_class_init(VmfNativesClass *class)
{
    G_OBJECT_CLASS(class)->finalize = vmf_natives_finalize;
    vmf_natives_changed = g_signal_new("changed", VMF_TYPE_NATIVES, G_SIGNAL_RUN_LAST, 0, NULL,
                                       NULL, NULL, G_TYPE_NONE, 0);
}

static void
vmf_natives_init(VmfNatives *self)
{
    g_mutex_init(&self->lock);
}

VmfNatives *
vmf_natives_new(VmfLibvirt *libvirt, const char *libvirt_uri, VmfProber *prober)
{
    VmfNatives *self = g_object_new(VMF_TYPE_NATIVES, NULL);

    self->libvirt = g_object_ref(libvirt);
    self->uri = g_strdup(libvirt_uri);
    self->prober = vmf_prober_ref(prober);
    g_signal_connect_object(libvirt, "connected", G_CALLBACK(vmf_natives_on_connected), self, 0);
    return self;
}
