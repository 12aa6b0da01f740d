/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The destination's side of the check: what a peer asks, about a guest that it would send. */
#include <libvirt/virterror.h>
#include <unistd.h>

#include "base/error.h"
#include "base/pack.h"
#include "daemon/guest.h"
#include "daemon/precheck.h"
#include "probe/host.h"
#include "probe/judge.h"
#include "probe/prober.h"
#include "xml/domain.h"

typedef struct {
    VmfDaemon *daemon;
    GVariant *request;
    const char *name; /* of the guest here */
    const char *uuid;
    const char *xml;
    guint32 version;   /* of the source's emulator; 0: not known */
    gboolean postcopy; /* it may be switched to it */
    VmfDomainXml *domain;
    GPtrArray *concerns;
    GVariantDict answer;
} VmfReply;

static void
vmf_reply_clear(VmfReply *self)
{
    g_clear_pointer(&self->domain, vmf_domain_xml_free);
    g_clear_pointer(&self->concerns, g_ptr_array_unref);
    g_variant_dict_clear(&self->answer);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmfReply, vmf_reply_clear)

static gboolean
vmf_reply_read(VmfReply *self, GError **error)
{
    const char *problem = NULL;

    g_variant_lookup(self->request, "name", "&s", &self->name);
    g_variant_lookup(self->request, "uuid", "&s", &self->uuid);
    g_variant_lookup(self->request, "xml", "&s", &self->xml);
    g_variant_lookup(self->request, "version", "u", &self->version);
    g_variant_lookup(self->request, "postcopy", "b", &self->postcopy);
    if (!self->name || !*self->name || strlen(self->name) > 255)
        problem = "the guest's name is missing or not valid";
    else if (!self->uuid || !g_uuid_string_is_valid(self->uuid))
        problem = "the guest's UUID is missing or not valid";
    else if (!self->xml || strlen(self->xml) > VMF_PRECHECK_XML_MAX)
        problem = "the guest's XML is missing or too long";
    if (problem) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, problem);
        return FALSE;
    }
    self->domain = vmf_domain_xml_parse(self->xml, error);
    return self->domain != NULL;
}

/* ---- this host ---- */

static void
vmf_reply_judge_host(VmfReply *self, virConnectPtr connection)
{
    const VmfHostSources sources = {0};
    g_autoptr(VmfHostFacts) facts = vmf_host_facts_gather(&sources);
    g_autoptr(GError) exists = NULL;
    guint64 memory = 0;

    if (vmf_daemon_get_maintenance(self->daemon))
        vmf_concerns_add(self->concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_PEER_REFUSED, "maintenance",
                         "the destination is in maintenance and takes no guests");
    if (!vmf_guest_check_absent(connection, self->name, self->uuid, &exists))
        vmf_concerns_add(self->concerns, VMF_SEVERITY_BLOCK, exists->code, "domain-exists", "%s",
                         exists->message);
    g_variant_lookup(self->request, "memory", "t", &memory);
    vmf_judge_memory(self->concerns, memory, facts->memory_available, facts->swap_free);
}

/* ---- its emulator ---- */

/*
 * Only what libvirt here would run is run: the path comes from another host.
 * NULL: it is not, and that was said.
 */
static VmfEmulator *
vmf_reply_find_emulator(VmfReply *self, virConnectPtr connection)
{
    const char *path = self->domain->emulator;
    char *capabilities = virConnectGetCapabilities(connection);
    g_auto(GStrv) named = capabilities ? vmf_capabilities_xml_get_emulators(capabilities) : NULL;

    free(capabilities); /* libvirt's own allocation */
    if (named && g_strv_contains((const char *const *)named, path))
        return vmf_prober_get_emulator(vmf_daemon_get_prober(self->daemon), path);
    if (access(path, X_OK) != 0)
        vmf_concerns_add(self->concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_INCOMPATIBLE, "emulator",
                         "the destination has no %s; install it there, or give another domain XML",
                         path);
    else
        vmf_concerns_add(self->concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE, "emulator",
                         "what %s of the destination can load is not known: libvirt's "
                         "capabilities there do not name it",
                         path);
    return NULL;
}

/* What the source has as types, and the emulator cannot make. */
static void
vmf_reply_add_missing(VmfReply *self, const VmfEmulator *emulator)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autoptr(GVariant) list = g_variant_lookup_value(self->request, "types", G_VARIANT_TYPE("as"));
    g_auto(GStrv) missing = NULL;
    gsize n = list ? MIN(g_variant_n_children(list), VMF_PRECHECK_TYPES_MAX) : 0;

    for (gsize i = 0; i < n; i++) {
        const char *type;

        g_variant_get_child(list, i, "&s", &type);
        if (!vmf_emulator_has_type(emulator, type))
            g_strv_builder_add(builder, type);
    }
    missing = g_strv_builder_end(builder);
    g_variant_dict_insert(&self->answer, "missing", "^as", missing);
}

static void
vmf_reply_add_dump(VmfReply *self)
{
    g_autofree char *identity = NULL;
    g_auto(GStrv) have = NULL;
    g_autoptr(GBytes) packed = NULL;
    g_autoptr(GError) problem = NULL;
    g_autoptr(GBytes) dump =
        vmf_prober_get_dump(vmf_daemon_get_prober(self->daemon), self->domain->emulator,
                            self->domain->machine, &identity, &problem);

    if (!dump) {
        vmf_concerns_add(self->concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE, "emulator",
                         "what the destination's QEMU can load is not known: %s", problem->message);
        return;
    }
    g_variant_dict_insert(&self->answer, "identity", "s", identity);
    g_variant_lookup(self->request, "have", "^as", &have);
    if (have && g_strv_contains((const char *const *)have, identity))
        return;
    packed = vmf_pack(dump);
    if (g_bytes_get_size(packed) <= VMF_PRECHECK_PACKED_MAX)
        g_variant_dict_insert_value(
            &self->answer, "dump",
            g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, packed, TRUE));
}

/* ---- libvirt's view of the guest ---- */

static void
vmf_reply_judge_cpu(VmfReply *self, virConnectPtr connection)
{
    const VmfDomainXml *domain = self->domain;
    gboolean checked = domain->cpu_check && !g_str_equal(domain->cpu_check, "none");
    gboolean incompatible;

    if (!domain->cpu || g_strcmp0(domain->cpu_mode, "custom") != 0)
        return; /* nothing to compare: it is what the host has */
    if (virConnectCompareHypervisorCPU(connection, domain->emulator, domain->arch, domain->machine,
                                       domain->type, domain->cpu,
                                       VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE) >= 0)
        return;
    incompatible = virGetLastErrorCode() == VIR_ERR_CPU_INCOMPATIBLE;
    if (incompatible)
        vmf_concerns_add(self->concerns, checked ? VMF_SEVERITY_BLOCK : VMF_SEVERITY_WARN,
                         VMF_ERROR_INCOMPATIBLE, "cpu",
                         "the destination has not all that the guest's CPU needs: %s",
                         virGetLastErrorMessage());
    else
        vmf_concerns_add(self->concerns, VMF_SEVERITY_INFO, VMF_ERROR_INCOMPATIBLE, "cpu",
                         "the destination's libvirt cannot compare CPUs: %s",
                         virGetLastErrorMessage());
}

/* Who QEMU is decides; where libvirt does not tell that, nothing is said. */
static void
vmf_reply_judge_postcopy(VmfReply *self, const VmfEmulator *emulator)
{
    VmfHostSources sources = {0};
    g_autoptr(VmfHostFacts) facts = NULL;
    guint64 page_size = 0; /* of the source */

    if (!vmf_owner_get(vmf_daemon_get_owner(self->daemon), &sources.qemu_uid, &sources.qemu_gid,
                       NULL))
        return;
    facts = vmf_host_facts_gather(&sources);
    g_variant_lookup(self->request, "page-size", "t", &page_size);
    vmf_judge_page_size(self->concerns, page_size, facts->page_size);
    vmf_judge_postcopy(self->concerns, emulator, facts->userfaultfd, self->domain->memory_source);
}

static void
vmf_reply_judge_firmware(VmfReply *self)
{
    const char *loader = self->domain->loader;

    if (loader && g_path_is_absolute(loader) && access(loader, R_OK) != 0)
        vmf_concerns_add(self->concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_INCOMPATIBLE, "firmware",
                         "the destination has no %s, which is the guest's firmware", loader);
}

static void
vmf_reply_judge_properties(VmfReply *self, const VmfArgv *argv)
{
    g_autoptr(GHashTable) set = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) types = g_ptr_array_new();
    g_autoptr(GHashTable) known = NULL;

    for (guint i = 0; i < argv->devices->len; i++) {
        VmfArgvDevice *device = argv->devices->pdata[i];

        if (g_hash_table_add(set, device->type))
            g_ptr_array_add(types, device->type);
    }
    g_ptr_array_add(types, NULL);
    known = vmf_prober_get_properties(vmf_daemon_get_prober(self->daemon), self->domain->emulator,
                                      (const char *const *)types->pdata, NULL);
    if (known) /* an emulator that does not answer was spoken of before */
        vmf_judge_properties(self->concerns, argv, known);
}

/* What libvirt here would start for the guest; its own refusals are the guest's, too. */
static void
vmf_reply_judge_devices(VmfReply *self, virConnectPtr connection, const VmfEmulator *emulator)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(VmfArgv) argv = vmf_precheck_get_argv(connection, self->xml, &problem);

    if (!argv) {
        gboolean certain = g_error_matches(problem, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED);

        vmf_concerns_add(self->concerns, certain ? VMF_SEVERITY_BLOCK : VMF_SEVERITY_WARN,
                         VMF_ERROR_INCOMPATIBLE, "libvirt", "the destination's %s",
                         problem->message);
        return;
    }
    vmf_judge_devices(self->concerns, argv, emulator);
    vmf_reply_judge_properties(self, argv);
}

static gboolean
vmf_reply_is_qemu(VmfReply *self, virConnectPtr connection)
{
    return g_strcmp0(virConnectGetType(connection), "QEMU") == 0 && self->domain->emulator &&
           self->domain->machine;
}

/* In `ret_emulator`, the caller's, what would run the guest, or NULL. Whether it can at all. */
static gboolean
vmf_reply_judge_qemu(VmfReply *self, virConnectPtr connection, VmfEmulator **ret_emulator)
{
    VmfEmulator *emulator = vmf_reply_find_emulator(self, connection);

    *ret_emulator = emulator;
    vmf_reply_judge_firmware(self);
    if (!emulator)
        return FALSE;
    vmf_judge_emulator(self->concerns, emulator, self->domain->machine, self->version);
    if (emulator->problem || !vmf_emulator_find_machine(emulator, self->domain->machine))
        return FALSE;
    if (self->postcopy)
        vmf_reply_judge_postcopy(self, emulator);
    vmf_reply_judge_cpu(self, connection);
    vmf_reply_judge_devices(self, connection, emulator);
    return TRUE;
}

static void
vmf_reply_add_qemu(VmfReply *self, virConnectPtr connection)
{
    g_autoptr(VmfEmulator) emulator = NULL;
    gboolean able = vmf_reply_judge_qemu(self, connection, &emulator);
    g_autoptr(VmfHostFacts) host = vmf_natives_gather(connection);

    if (host)
        g_variant_dict_insert(&self->answer, "migrate-parameters", "^as", host->migrate_parameters);
    if (emulator)
        g_variant_dict_insert_value(&self->answer, "emulator",
                                    vmf_emulator_to_variant(emulator, FALSE));
    if (!able)
        return;
    vmf_reply_add_missing(self, emulator);
    vmf_reply_add_dump(self);
}

GVariant *
vmf_precheck_answer(VmfDaemon *daemon, GVariant *request, GError **error)
{
    g_auto(VmfReply) self = {.daemon = daemon, .request = request};
    g_autoptr(virConnect) connection = NULL;

    g_variant_dict_init(&self.answer, NULL);
    self.concerns = vmf_concerns_new();
    if (!vmf_reply_read(&self, error))
        return NULL;
    connection = vmf_libvirt_open(vmf_daemon_get_config(daemon)->libvirt_uri, error);
    if (!connection)
        return NULL;
    vmf_reply_judge_host(&self, connection);
    if (vmf_reply_is_qemu(&self, connection))
        vmf_reply_add_qemu(&self, connection);
    vmf_concerns_sort(self.concerns);
    g_variant_dict_insert_value(&self.answer, "findings", vmf_concerns_to_variant(self.concerns));
    return g_variant_dict_end(&self.answer);
}

GPtrArray *
vmf_precheck_judge_arrival(VmfDaemon *daemon, const char *xml, GError **error)
{
    g_auto(VmfReply) self = {.daemon = daemon, .xml = xml};
    g_autoptr(virConnect) connection = NULL;
    g_autoptr(VmfEmulator) emulator = NULL;

    g_variant_dict_init(&self.answer, NULL);
    self.concerns = vmf_concerns_new();
    self.domain = vmf_domain_xml_parse(xml, error);
    connection =
        self.domain ? vmf_libvirt_open(vmf_daemon_get_config(daemon)->libvirt_uri, error) : NULL;
    if (!connection)
        return NULL;
    if (vmf_reply_is_qemu(&self, connection))
        vmf_reply_judge_qemu(&self, connection, &emulator);
    vmf_concerns_sort(self.concerns);
    return g_steal_pointer(&self.concerns);
}
