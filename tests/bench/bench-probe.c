/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long it takes to learn what an emulator can do, for the first time and out of the cache: what
 * tests/bench/probe runs, one figure a line.
 */
#include <glib/gstdio.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "probe/prober.h"

typedef struct {
    const char *emulator;
    const char *machine;
    const char *user;
    const char *cache;
} Subject;

/* All that a check asks of it; ms. */
static double
learn(const Subject *subject)
{
    g_autoptr(VmfProber) prober = vmf_prober_new(subject->cache, subject->user);
    gint64 begin = g_get_monotonic_time();
    g_autoptr(VmfEmulator) emulator = vmf_prober_get_emulator(prober, subject->emulator);
    g_autoptr(GError) error = NULL;
    g_autofree char *identity = NULL;
    g_auto(GStrv) builtins = NULL;
    g_autoptr(GBytes) dump = NULL;
    double took;

    if (!emulator->problem)
        builtins = vmf_prober_get_builtins(prober, subject->emulator, subject->machine, &error);
    if (builtins)
        dump = vmf_prober_get_dump(prober, subject->emulator, subject->machine, &identity, &error);
    took = (double)(g_get_monotonic_time() - begin) / 1000;
    if (dump)
        return took;
    fprintf(stderr, "bench-probe: %s\n", error ? error->message : emulator->message);
    exit(1);
}

static void
remove_cache(const char *path)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name;

    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        (void)g_unlink(file);
    }
    (void)g_rmdir(path);
}

int
main(int argc, char **argv)
{
    Subject subject = {"/usr/bin/qemu-system-x86_64", "pc", "nobody", NULL};
    g_autofree char *cache = g_dir_make_tmp("vmf-bench-XXXXXX", NULL);
    const GOptionEntry entries[] = {
        {"emulator", 0, 0, G_OPTION_ARG_FILENAME, &subject.emulator, "Who is asked", "PATH"},
        {"machine", 0, 0, G_OPTION_ARG_STRING, &subject.machine, "About which machine", "TYPE"},
        {"user", 0, 0, G_OPTION_ARG_STRING, &subject.user, "Who it becomes, if root", "USER"},
        G_OPTION_ENTRY_NULL};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    setlocale(LC_ALL, "C");
    signal(SIGPIPE, SIG_IGN);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "bench-probe: %s\n", error->message);
        return 2;
    }
    subject.cache = cache;
    printf("probe.ms %.1f ms 1\n", learn(&subject));
    printf("probe.cached_ms %.1f ms 1\n", learn(&subject));
    remove_cache(cache);
    return 0;
}
