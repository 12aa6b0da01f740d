/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What it costs a pump that migrations survive faults. Two pumps with a TCP link between them carry
 * bytes through one thread, so that this is what is waited for: each way in a process of its own,
 * all of them in turns. Of a run, its throughput, the processor time of that thread, and the
 * memory.
 *
 * What reads and writes at the QEMUs' ends are threads of their own.
 */
#include <arpa/inet.h>
#include <gio/gio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/syscalls.h"
#include "link/ticket.h"
#include "measure.h"
#include "pump/pump.h"

#define BLOCK (256 * 1024)
#define ROUNDS_MAX 99
#define GIB (1024.0 * 1024 * 1024)

typedef struct {
    const char *name;
    gboolean encrypt;
    gboolean resume;    /* what was sent is kept until it is acknowledged */
    gboolean checksums; /* of frames, where they are not encrypted */
    gboolean zstd;      /* the stages are passed through; nothing is packed */
    gboolean verify;    /* likewise, and hashed on both sides */
    gboolean confined;  /* by the filter of system calls */
} Way;

static const Way ways[] = {
    {"tls", TRUE, FALSE, FALSE, FALSE, FALSE, FALSE},
    {"tls.resume", TRUE, TRUE, FALSE, FALSE, FALSE, FALSE},
    {"tls.resume.confined", TRUE, TRUE, FALSE, FALSE, FALSE, TRUE},
    {"plain", FALSE, FALSE, FALSE, FALSE, FALSE, FALSE},
    {"plain.resume", FALSE, TRUE, FALSE, FALSE, FALSE, FALSE},
    {"plain.resume.checksums", FALSE, TRUE, TRUE, FALSE, FALSE, FALSE},
    {"stages.resume", TRUE, TRUE, FALSE, TRUE, FALSE, FALSE},
    {"stages.resume.verify", TRUE, TRUE, FALSE, TRUE, TRUE, FALSE},
};

typedef struct {
    double rate;   /* bytes/s */
    double cpu;    /* s of the pumps' thread */
    double memory; /* bytes, at most */
} Result;

typedef struct {
    VmfPump *pumps[2]; /* source, destination */
    int link[2], from[2], to[2];
    guint64 bytes;
    guint linked, ended;
} Run;

static G_NORETURN void
give_up(const char *what)
{
    g_printerr("bench-faults: %s\n", what);
    _exit(1);
}

static void
on_nothing(gpointer owner)
{
}

static void
on_channel_ended(gpointer owner, guint channel, gboolean clean)
{
    if (!clean)
        give_up("a channel broke");
}

static void
on_wanted(gpointer owner, guint channel, VmfChannelKind kind)
{
    Run *run = owner;

    if (!vmf_pump_answer_channel(run->pumps[1], channel, run->to[0], NULL))
        give_up("the channel was not taken");
}

static void
on_ended(gpointer owner, const GError *error)
{
    Run *run = owner;

    if (error)
        give_up(error->message);
    run->ended++;
}

static void
on_linked(gpointer data, const GError *error)
{
    Run *run = data;

    if (error)
        give_up(error->message);
    run->linked++;
}

static gpointer
feed(gpointer data)
{
    Run *run = data;
    g_autofree guint64 *block = g_malloc(BLOCK);
    guint64 left = run->bytes;

    for (guint i = 0; i < BLOCK / 8; i++) /* nothing that packs */
        block[i] = (i + 1) * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    while (left > 0) {
        ssize_t n = send(run->from[1], block, MIN(BLOCK, left), MSG_NOSIGNAL);

        if (n <= 0)
            give_up("the source took no more");
        left -= (guint64)n;
    }
    shutdown(run->from[1], SHUT_WR);
    return NULL;
}

static gpointer
drain(gpointer data)
{
    Run *run = data;
    g_autofree char *block = g_malloc(BLOCK);
    guint64 got = 0;
    ssize_t n;

    while ((n = recv(run->to[1], block, BLOCK, 0)) > 0)
        got += (guint64)n;
    if (n < 0 || got != run->bytes)
        give_up("the destination did not get all");
    shutdown(run->to[1], SHUT_WR);
    return NULL;
}

/* A TCP connection from this process to itself. */
static void
connect_tcp(int ret[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || ret[0] < 0 || bind(listener, (struct sockaddr *)&address, length) < 0 ||
        listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0 ||
        connect(ret[0], (struct sockaddr *)&address, length) < 0 ||
        (ret[1] = accept(listener, NULL, NULL)) < 0)
        give_up("no TCP connection to be had");
    close(listener);
}

static GVariant *
start_options(const Way *way)
{
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "patience", "u", way->resume ? 120000 : 0);
    g_variant_dict_insert(&dict, "checksums", "b", way->checksums);
    g_variant_dict_insert(&dict, "zstd-window", "u", way->zstd ? 27 : 0);
    g_variant_dict_insert(&dict, "verify", "b", way->verify);
    g_variant_dict_insert(&dict, "zstd", "i", 0);
    return g_variant_ref_sink(g_variant_dict_end(&dict));
}

static void
start(Run *run, const Way *way)
{
    static const VmfPumpEvents events = {on_nothing, on_wanted, on_channel_ended, on_nothing,
                                         on_ended};
    static const uint8_t secret[VMF_TICKET_SECRET_SIZE] = "thirty-two bytes, known to both";
    g_autoptr(GVariant) options = start_options(way);

    for (guint i = 0; i < 2; i++) {
        run->pumps[i] = vmf_pump_new(&events, run);
        vmf_pump_set_attended(run->pumps[i], TRUE);
        if (!vmf_pump_start(run->pumps[i], "bench", i == 0 ? "source" : "destination", secret,
                            sizeof secret, way->encrypt, options, NULL))
            give_up("a pump did not start");
    }
    for (guint i = 0; i < 2; i++) {
        const VmfPumpAttach attach = {.fd = run->link[i], .initiator = i == 0};

        vmf_pump_attach_link(run->pumps[i], &attach, on_linked, run);
    }
    while (run->linked < 2)
        g_main_context_iteration(NULL, TRUE);
}

static void
carry(const Way *way, guint64 bytes, Result *ret)
{
    Run run = {.bytes = bytes};
    g_autoptr(GError) error = NULL;
    GThread *feeder, *drainer;
    struct rusage usage;
    gint64 begin;
    double cpu;

    connect_tcp(run.link);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, run.from) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, run.to) < 0)
        give_up("no sockets to be had");
    if (way->confined && !vmf_syscalls_restrict(&error))
        give_up(error->message);
    start(&run, way);
    feeder = g_thread_new("feed", feed, &run);
    drainer = g_thread_new("drain", drain, &run);
    begin = g_get_monotonic_time();
    cpu = measure_seconds();
    if (vmf_pump_attach_channel(run.pumps[0], "qemu", 0, run.from[0], NULL) == 0)
        give_up("the channel was not taken");
    while (run.ended < 2)
        g_main_context_iteration(NULL, TRUE);
    ret->cpu = measure_seconds() - cpu;
    ret->rate = (double)bytes * G_USEC_PER_SEC / (double)(g_get_monotonic_time() - begin);
    getrusage(RUSAGE_SELF, &usage);
    ret->memory = (double)usage.ru_maxrss * 1024;
    g_thread_join(feeder);
    g_thread_join(drainer);
}

/* In a process of its own: what was confined, or took memory, stays so. */
static void
carry_apart(const Way *way, guint64 bytes, Result *ret)
{
    int pipes[2], status;
    pid_t child;

    if (pipe(pipes) < 0 || (child = fork()) < 0)
        give_up("no process to be had");
    if (child == 0) {
        carry(way, bytes, ret);
        _exit(write(pipes[1], ret, sizeof *ret) == sizeof *ret ? 0 : 1);
    }
    close(pipes[1]);
    if (read(pipes[0], ret, sizeof *ret) != sizeof *ret || waitpid(child, &status, 0) != child)
        give_up(way->name);
    close(pipes[0]);
}

static void
report(const char *what, const char *way, double value, const char *unit, guint runs)
{
    g_autofree char *name = g_strdup_printf("faults.%s.%s", what, way);

    measure_report(name, value, unit, runs);
}

int
main(int argc, char **argv)
{
    static Result results[G_N_ELEMENTS(ways)][ROUNDS_MAX];
    double values[ROUNDS_MAX];
    guint rounds = argc > 1 ? (guint)CLAMP(atoi(argv[1]), 1, ROUNDS_MAX) : 11;
    guint64 bytes = (guint64)(argc > 2 ? atoi(argv[2]) : 1024) << 20;

    for (guint round = 0; round < rounds; round++)
        for (guint i = 0; i < G_N_ELEMENTS(ways); i++) {
            guint at = round % 2 ? (guint)G_N_ELEMENTS(ways) - 1 - i : i;

            carry_apart(&ways[at], bytes, &results[at][round]);
        }
    for (guint i = 0; i < G_N_ELEMENTS(ways); i++) {
        for (guint round = 0; round < rounds; round++)
            values[round] = results[i][round].rate / 1048576;
        report("rate", ways[i].name, measure_median(values, rounds), "MiB/s", rounds);
        for (guint round = 0; round < rounds; round++)
            values[round] = results[i][round].cpu * GIB / (double)bytes;
        report("cpu", ways[i].name, measure_median(values, rounds), "s/GiB", rounds);
        for (guint round = 0; round < rounds; round++)
            values[round] = results[i][round].memory / 1048576;
        report("memory", ways[i].name, measure_median(values, rounds), "MiB", rounds);
    }
    return 0;
}
