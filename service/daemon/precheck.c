/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The source's side, which leads. The destination's is precheck-answer.c. */
#include "daemon/precheck.h"

#include <libvirt/virterror.h>

#include "base/error.h"
#include "base/pack.h"
#include "daemon/guest.h"
#include "daemon/link-service.h"
#include "daemon/peer.h"
#include "probe/judge.h"
#include "probe/prober.h"
#include "stream/loadable.h"
#include "xml/domain.h"

#define VMF_PRECHECK_TIMEOUT 60000 /* ms: an emulator there may be broken, too */

typedef struct {
    VmfDaemon *daemon;
    VmfPeer *peer;
    const VmfPrecheckInit *init;
    GCancellable *cancellable;
    GPtrArray *concerns;

    VmfGuest *guest;
    VmfDomainXml *domain;
    char *xml; /* as a destination gets it */

    /* what this host's QEMU would save; NULL: not known */
    guint32 version;
    guint64 page_size; /* of this host */
    VmfArgv *argv;
    GHashTable *types; /* of the guest's devices */
    VmfNative native;  /* what it can do without a pump */
    GBytes *dump;
    char *identity;

    GVariant *loadable; /* what its QEMU loads, where it is not like ours */
    GBytes *latest;     /* what the peer sent the last time, for this machine type */
    char *latest_identity;
} VmfPrecheck;

static void
vmf_precheck_clear(VmfPrecheck *self)
{
    g_clear_pointer(&self->guest, vmf_guest_free);
    g_clear_pointer(&self->domain, vmf_domain_xml_free);
    g_clear_pointer(&self->argv, vmf_argv_free);
    g_clear_pointer(&self->types, g_hash_table_unref);
    g_clear_pointer(&self->dump, g_bytes_unref);
    g_clear_pointer(&self->latest, g_bytes_unref);
    g_clear_pointer(&self->loadable, g_variant_unref);
    g_clear_pointer(&self->concerns, g_ptr_array_unref);
    g_free(self->xml);
    g_free(self->identity);
    g_free(self->latest_identity);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmfPrecheck, vmf_precheck_clear)

/* ---- the guest and its emulator ---- */

static gboolean
vmf_precheck_describe(VmfPrecheck *self, virConnectPtr connection, GError **error)
{
    VmfLibvirt *libvirt = vmf_daemon_get_libvirt(self->daemon);
    g_autoptr(virDomain) domain = NULL;
    g_autoptr(GError) unsafe = NULL;
    char *xml;

    self->guest = vmf_guest_describe(connection, self->init->domain, error);
    if (!self->guest || !(domain = vmf_guest_lookup(connection, self->guest->uuid, error)))
        return FALSE;
    if (!vmf_guest_check_safe(connection, self->guest,
                              vmf_libvirt_has_run(libvirt, self->guest->uuid), &unsafe))
        vmf_concerns_add(self->concerns, VMF_SEVERITY_BLOCK, unsafe->code, "paused", "%s",
                         unsafe->message);
    xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_MIGRATABLE);
    if (!xml) {
        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "reading the guest's XML");
        return FALSE;
    }
    self->xml = g_strdup(xml);
    free(xml); /* libvirt's own allocation */
    self->domain = vmf_domain_xml_parse(self->xml, error);
    return self->domain != NULL;
}

VmfArgv *
vmf_precheck_get_argv(virConnectPtr connection, const char *xml, GError **error)
{
    g_auto(GStrv) models = NULL;
    guint users = 0;
    g_autofree char *stripped = vmf_domain_xml_strip_interfaces(xml, &models, &users, error);
    char *text;
    VmfArgv *argv;

    if (!stripped)
        return NULL;
    text = virConnectDomainXMLToNative(connection, "qemu-argv", stripped, 0);
    if (!text) {
        gboolean unsupported = virGetLastErrorCode() == VIR_ERR_CONFIG_UNSUPPORTED;

        vmf_libvirt_set_error(
            error, unsupported ? VMF_ERROR_NOT_SUPPORTED : VMF_ERROR_LIBVIRT_FAILED, "libvirt");
        return NULL;
    }
    argv = vmf_argv_parse(text, error);
    free(text); /* libvirt's own allocation */
    if (argv)
        vmf_argv_add_interfaces(argv, (const char *const *)models, users);
    return argv;
}

static char *
vmf_precheck_label(VmfPrecheck *self)
{
    return g_strconcat(vmf_peer_get_config(self->peer)->name, "\n", self->domain->emulator, "\n",
                       self->domain->machine, NULL);
}

static GBytes *
vmf_precheck_find_latest(VmfPrecheck *self)
{
    g_autofree char *label = vmf_precheck_label(self);

    return vmf_prober_find_dump(vmf_daemon_get_prober(self->daemon), label, &self->latest_identity);
}

static gboolean
vmf_precheck_ask_emulator(VmfPrecheck *self, const VmfHostFacts *host, const VmfArgv *argv,
                          GError **error)
{
    VmfProber *prober = vmf_daemon_get_prober(self->daemon);
    const char *path = self->domain->emulator;
    g_autoptr(VmfEmulator) emulator = vmf_prober_get_emulator(prober, path);
    g_auto(GStrv) builtins = NULL;

    if (emulator->problem) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_FAILED, emulator->message);
        return FALSE;
    }
    self->version = emulator->version;
    if (host)
        vmf_native_find(emulator, (const char *const *)host->migrate_parameters, &self->native);
    self->types = vmf_argv_get_types(argv);
    builtins = vmf_prober_get_builtins(prober, path, argv->machine, error);
    for (char **type = builtins; type && *type; type++)
        g_hash_table_add(self->types, g_strdup(*type));
    if (g_strcmp0(self->domain->type, "kvm") == 0)
        g_hash_table_add(self->types, g_strdup("kvmclock"));
    self->latest = vmf_precheck_find_latest(self);
    if (builtins)
        self->dump =
            vmf_prober_get_dump(prober, path, self->domain->machine, &self->identity, error);
    return self->dump != NULL;
}

/* libvirt knows other drivers than QEMU's; there is less to ask of them. */
static gboolean
vmf_precheck_is_qemu(VmfPrecheck *self, virConnectPtr connection)
{
    return g_strcmp0(virConnectGetType(connection), "QEMU") == 0 && self->domain->emulator &&
           self->domain->machine;
}

static void
vmf_precheck_look_here(VmfPrecheck *self, virConnectPtr connection)
{
    g_autoptr(VmfHostFacts) host = vmf_natives_gather(connection);
    g_autoptr(GError) problem = NULL;

    if (host) {
        self->page_size = host->page_size;
        vmf_judge_keepalive(self->concerns, host->keepalive_interval, host->keepalive_count,
                            vmf_daemon_get_config(self->daemon)->pump_patience);
    }
    self->argv = vmf_precheck_get_argv(connection, self->xml, &problem);
    if (!self->argv || !vmf_precheck_ask_emulator(self, host, self->argv, &problem))
        vmf_concerns_add(self->concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE,
                         "source-unknown",
                         "what this host's QEMU will save is not known, and so not compared: %s",
                         problem->message);
}

/* ---- the destination ---- */

static GVariant *
vmf_precheck_types(VmfPrecheck *self)
{
    g_autofree const char **types =
        (const char **)g_hash_table_get_keys_as_array(self->types, NULL);

    return g_variant_new_strv(types, -1);
}

static GVariant *
vmf_precheck_request(VmfPrecheck *self)
{
    const VmfPrecheckInit *init = self->init;
    const char *have[] = {self->identity ? self->identity : "",
                          self->latest_identity ? self->latest_identity : "", NULL};
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "name", "s", init->dname ? init->dname : self->guest->name);
    g_variant_dict_insert(&dict, "uuid", "s", self->guest->uuid);
    g_variant_dict_insert(&dict, "memory", "t", self->guest->memory);
    g_variant_dict_insert(&dict, "xml", "s", init->xml ? init->xml : self->xml);
    g_variant_dict_insert(&dict, "version", "u", self->version);
    g_variant_dict_insert(&dict, "have", "^as", have);
    if (init->postcopy) {
        g_variant_dict_insert(&dict, "postcopy", "b", TRUE);
        g_variant_dict_insert(&dict, "page-size", "t", self->page_size);
    }
    if (self->types)
        g_variant_dict_insert_value(&dict, "types", vmf_precheck_types(self));
    return g_variant_dict_end(&dict);
}

/* The answer; NULL without an error when the peer is too old to give one. */
static GVariant *
vmf_precheck_call(VmfPrecheck *self, GError **error)
{
    g_autoptr(GSocketAddress) remote = NULL;
    g_autoptr(GDBusConnection) link =
        vmf_peer_get_link(self->peer, self->cancellable, &remote, error);
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GError) problem = NULL;

    if (!link)
        return NULL;
    answer = g_dbus_connection_call_sync(link, NULL, VMF_LINK_OBJECT, "org.vmferry1.Link", "Check",
                                         g_variant_new("(@a{sv})", vmf_precheck_request(self)),
                                         G_VARIANT_TYPE("(a{sv})"), G_DBUS_CALL_FLAGS_NONE,
                                         VMF_PRECHECK_TIMEOUT, self->cancellable, &problem);
    if (answer)
        return g_variant_get_child_value(answer, 0);
    if (g_error_matches(problem, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD))
        vmf_concerns_add(self->concerns, VMF_SEVERITY_WARN, VMF_ERROR_NOT_SUPPORTED,
                         "destination-unknown",
                         "%s cannot check anything before a move; it needs a newer vmferry",
                         vmf_peer_get_config(self->peer)->name);
    else
        g_propagate_error(error, vmf_error_normalize(g_steal_pointer(&problem)));
    return NULL;
}

/* What the destination's QEMU loads: ours, one we have, or one that comes along. */
static GBytes *
vmf_precheck_get_dump(VmfPrecheck *self, GVariant *answer, GError **error)
{
    g_autofree char *label = vmf_precheck_label(self);
    g_autoptr(GVariant) packed = g_variant_lookup_value(answer, "dump", G_VARIANT_TYPE_BYTESTRING);
    const char *identity = "";
    const guint8 *data;
    gsize length = 0;
    GBytes *dump;

    g_variant_lookup(answer, "identity", "&s", &identity);
    if (g_strcmp0(identity, self->identity) == 0)
        return g_bytes_ref(self->dump);
    if (self->latest && g_strcmp0(identity, self->latest_identity) == 0)
        return g_bytes_ref(self->latest);
    if (!packed)
        return NULL;
    data = g_variant_get_fixed_array(packed, &length, 1);
    dump = vmf_unpack(data, MIN(length, VMF_PRECHECK_PACKED_MAX), VMF_DUMP_MAX, error);
    if (dump)
        vmf_prober_keep_dump(vmf_daemon_get_prober(self->daemon), label, dump);
    return dump;
}

static VmfVmstateSet *
vmf_precheck_parse(GBytes *dump, GError **error)
{
    gsize length = 0;
    const char *text = g_bytes_get_data(dump, &length);

    return vmf_vmstate_set_from_dump(text, length, error);
}

/* What was forced is not held against the stream, either. */
static GVariant *
vmf_precheck_loadable(VmfPrecheck *self, const VmfVmstateSet *destination)
{
    g_autoptr(VmfLoadable) loadable = vmf_loadable_new();

    vmf_loadable_add_set(loadable, destination);
    for (const char *const *name = self->init->force; name && *name; name++)
        if (g_str_has_prefix(*name, VMF_CONCERN_SUBSECTION))
            vmf_loadable_allow(loadable, *name + strlen(VMF_CONCERN_SUBSECTION));
    return g_variant_ref_sink(vmf_loadable_to_variant(loadable));
}

/* Of two QEMUs that are not alike. */
static void
vmf_precheck_compare_dumps(VmfPrecheck *self, GBytes *dump, const char *const *missing)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(VmfVmstateSet) here = vmf_precheck_parse(self->dump, &problem);
    g_autoptr(VmfVmstateSet) there = here ? vmf_precheck_parse(dump, &problem) : NULL;

    if (there) {
        self->loadable = vmf_precheck_loadable(self, there);
        vmf_judge_backends(self->concerns, self->argv);
        vmf_judge_state(self->concerns, here, there, self->types, missing);
        return;
    }
    vmf_concerns_add(self->concerns, VMF_SEVERITY_WARN, VMF_ERROR_BAD_STREAM,
                     here ? "destination-unknown" : "source-unknown",
                     "the state of devices was not compared: %s", problem->message);
}

static void
vmf_precheck_compare(VmfPrecheck *self, GVariant *answer)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(GBytes) dump = vmf_precheck_get_dump(self, answer, &problem);
    g_auto(GStrv) missing = NULL;

    g_variant_lookup(answer, "missing", "^as", &missing);
    if (dump && !g_bytes_equal(dump, self->dump))
        vmf_precheck_compare_dumps(self, dump, (const char *const *)missing);
    else if (problem)
        vmf_concerns_add(self->concerns, VMF_SEVERITY_WARN, VMF_ERROR_PROTOCOL,
                         "destination-unknown", "the destination's answer: %s", problem->message);
}

/* What could be done without a pump; good to know. */
static void
vmf_precheck_judge_native(VmfPrecheck *self, GVariant *answer)
{
    g_autoptr(GVariant) facts = g_variant_lookup_value(answer, "emulator", G_VARIANT_TYPE_VARDICT);
    g_autoptr(VmfEmulator) emulator = facts ? vmf_emulator_from_variant(facts) : NULL;
    g_auto(GStrv) parameters = NULL;
    VmfNative there;

    g_variant_lookup(answer, "migrate-parameters", "^as", &parameters);
    if (!emulator || !parameters)
        return;
    vmf_native_find(emulator, (const char *const *)parameters, &there);
    vmf_judge_native(self->concerns, &self->native, &there);
}

static gboolean
vmf_precheck_ask_peer(VmfPrecheck *self, GError **error)
{
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GVariant) findings = NULL;
    g_autoptr(GError) problem = NULL;

    answer = vmf_precheck_call(self, &problem);
    if (problem) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    if (!answer)
        return TRUE;
    findings = g_variant_lookup_value(answer, "findings", G_VARIANT_TYPE(VMF_CONCERNS_FORMAT));
    if (findings)
        vmf_concerns_add_variant(self->concerns, findings);
    vmf_precheck_judge_native(self, answer);
    if (self->dump)
        vmf_precheck_compare(self, answer);
    return TRUE;
}

GPtrArray *
vmf_precheck_run(VmfDaemon *daemon, VmfPeer *peer, const VmfPrecheckInit *init,
                 GCancellable *cancellable, GVariant **ret_loadable, GError **error)
{
    g_auto(VmfPrecheck)
        self = {.daemon = daemon, .peer = peer, .init = init, .cancellable = cancellable};
    g_autoptr(virConnect) connection = NULL;

    self.concerns = vmf_concerns_new();
    connection = vmf_libvirt_open(vmf_daemon_get_config(daemon)->libvirt_uri, error);
    if (!connection || !vmf_precheck_describe(&self, connection, error))
        return NULL;
    if (vmf_precheck_is_qemu(&self, connection))
        vmf_precheck_look_here(&self, connection);
    if (!vmf_precheck_ask_peer(&self, error))
        return NULL;
    if (init->tls)
        vmf_concerns_add(self.concerns, VMF_SEVERITY_INFO, VMF_ERROR_NOT_SUPPORTED, "tls",
                         "QEMU encrypts the stream itself: it can be carried, but not made "
                         "smaller, and what is in it cannot be checked on the way");
    vmf_concerns_force(self.concerns, init->force);
    vmf_concerns_sort(self.concerns);
    if (ret_loadable)
        *ret_loadable = g_steal_pointer(&self.loadable);
    return g_steal_pointer(&self.concerns);
}
