/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/host.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEPALIVE_INTERVAL 5 /* libvirt's own defaults */
#define KEEPALIVE_COUNT 5
#define CONFIG_MAX (1 << 20)

/* "Name:   123 kB" of /proc/meminfo; bytes. */
static guint64
meminfo_value(char **lines, const char *name)
{
    gsize length = strlen(name);

    for (; *lines; lines++)
        if (strncmp(*lines, name, length) == 0 && (*lines)[length] == ':')
            return g_ascii_strtoull(*lines + length + 1, NULL, 10) * 1024;
    return 0;
}

static void
read_memory(VmfHostFacts *facts, const char *path)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return;
    lines = g_strsplit(text, "\n", -1);
    facts->memory_total = meminfo_value(lines, "MemTotal");
    facts->memory_available = meminfo_value(lines, "MemAvailable");
    facts->swap_free = meminfo_value(lines, "SwapFree");
}

/* The best that the delta codec could use here; it chooses for itself. */
static const char *
codec_variant(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw"))
        return "avx512bw";
    return __builtin_cpu_supports("avx2") ? "avx2" : "sse2";
#elif defined(__aarch64__)
    return "neon";
#else
    return "portable";
#endif
}

static gboolean
device_is_for(const char *path, guint uid, guint gid)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return FALSE;
    if (info.st_uid == uid)
        return (info.st_mode & S_IRUSR) && (info.st_mode & S_IWUSR);
    if (info.st_gid == gid)
        return (info.st_mode & S_IRGRP) && (info.st_mode & S_IWGRP);
    return (info.st_mode & S_IROTH) && (info.st_mode & S_IWOTH);
}

/* Faults of the kernel, which QEMU needs, are for root, or by leave of one of two files. */
static gboolean
may_use_userfaultfd(guint uid, guint gid)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/sys/vm/unprivileged_userfaultfd", &text, NULL, NULL))
        return FALSE; /* a kernel without it */
    return uid == 0 || text[0] == '1' || device_is_for("/dev/userfaultfd", uid, gid);
}

/*
 * One number of qemu.conf. libvirt's API does not tell it. The format has strings and lists, too:
 * what is not plainly "name = number" on a line of its own leaves the default.
 */
static void
read_setting(char **lines, const char *name, guint *value)
{
    for (; *lines; lines++) {
        const char *line = *lines + strspn(*lines, " \t");
        char *end = NULL;
        gint64 number;

        if (!g_str_has_prefix(line, name))
            continue;
        line += strlen(name);
        line += strspn(line, " \t");
        if (*line++ != '=')
            continue;
        errno = 0;
        number = g_ascii_strtoll(line, &end, 10);
        if (end == line || errno != 0 || end[strspn(end, " \t\r")] != '\0')
            continue;
        /* libvirt takes -1 for never */
        *value = number < 0 ? 0 : (guint)MIN(number, 86400);
    }
}

static void
read_keepalive(VmfHostFacts *facts, const char *path)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    gsize length = 0;

    facts->keepalive_interval = KEEPALIVE_INTERVAL;
    facts->keepalive_count = KEEPALIVE_COUNT;
    if (!g_file_get_contents(path, &text, &length, NULL) || length > CONFIG_MAX)
        return;
    lines = g_strsplit(text, "\n", -1);
    read_setting(lines, "keepalive_interval", &facts->keepalive_interval);
    read_setting(lines, "keepalive_count", &facts->keepalive_count);
}

static char **
migrate_parameters(gulong version)
{
    static const struct {
        gulong since;
        const char *name;
    } parameters[] = {
        {9004000, "compression.zlib.level"},
        {9004000, "compression.zstd.level"},
        {11001000, "bandwidth.avail.switchover"},
    };
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (guint i = 0; i < G_N_ELEMENTS(parameters); i++)
        if (version >= parameters[i].since)
            g_strv_builder_add(builder, parameters[i].name);
    return g_strv_builder_end(builder);
}

VmfHostFacts *
vmf_host_facts_gather(const VmfHostSources *sources)
{
    VmfHostFacts *facts = g_new0(VmfHostFacts, 1);

    facts->page_size = (guint64)sysconf(_SC_PAGESIZE);
    read_memory(facts, sources->meminfo ? sources->meminfo : "/proc/meminfo");
    facts->codec = codec_variant();
    facts->userfaultfd = may_use_userfaultfd(sources->qemu_uid, sources->qemu_gid);
    read_keepalive(facts, sources->qemu_conf ? sources->qemu_conf : "/etc/libvirt/qemu.conf");
    facts->migrate_parameters = migrate_parameters(sources->libvirt_version);
    return facts;
}

void
vmf_host_facts_free(VmfHostFacts *facts)
{
    g_strfreev(facts->migrate_parameters);
    g_free(facts);
}
