/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stamp SOCKET PREFIX: writes down when each line of a guest's serial port arrived.
 *
 * Listens on SOCKET; each connection is one life of a QEMU and gets a log of its own, PREFIX.1.log,
 * PREFIX.2.log and so on. A log line is the time of the line's first byte (CLOCK_MONOTONIC,
 * nanoseconds: one clock for all hosts of the lab), a blank, and the line. A log that does not end
 * with a newline ends with the part of a line that arrived before the guest moved on.
 *
 * Runs with real-time priority where it may, so that a busy machine does not make gaps that the
 * guest did not have. Says "ready" on standard output once it listens.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The guest writes byte by byte; the part of a line that is here is written after this pause. */
#define PART_OF_LINE_MS 5

typedef struct {
    int fd;
    bool in_line; /* the stamp of the line that is arriving has been taken */
    size_t used;
    char buffer[8192];
} Log;

static void
die(const char *what)
{
    fprintf(stderr, "stamp: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
log_open(Log *log, const char *prefix, unsigned life)
{
    char path[512];

    snprintf(path, sizeof path, "%s.%u.log", prefix, life);
    memset(log, 0, sizeof *log);
    log->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (log->fd == -1)
        die(path);
}

static void
log_flush(Log *log)
{
    for (size_t done = 0; done < log->used;) {
        ssize_t n = write(log->fd, log->buffer + done, log->used - done);

        if (n == -1)
            die("write log");
        done += (size_t)n;
    }
    log->used = 0;
}

static void
log_take(Log *log, const char *data, size_t length, const struct timespec *now)
{
    for (size_t i = 0; i < length; i++) {
        if (log->used + 64 > sizeof log->buffer)
            log_flush(log);
        if (!log->in_line) {
            log->used += (size_t)snprintf(log->buffer + log->used, 32, "%lld%09ld ",
                                          (long long)now->tv_sec, now->tv_nsec);
            log->in_line = true;
        }
        log->buffer[log->used++] = data[i];
        if (data[i] == '\n')
            log->in_line = false;
    }
    if (!log->in_line)
        log_flush(log);
}

static void
follow(int connection, Log *log)
{
    struct pollfd poll_in = {.fd = connection, .events = POLLIN};

    for (;;) {
        char data[4096];
        struct timespec now;

        if (poll(&poll_in, 1, log->used > 0 ? PART_OF_LINE_MS : -1) == 0) {
            log_flush(log);
            continue;
        }
        ssize_t n = read(connection, data, sizeof data);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* QEMU has ended, cleanly or not */
        log_take(log, data, (size_t)n, &now);
    }
    log_flush(log);
}

static int
listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        die(path);
    }
    strcpy(address.sun_path, path);
    unlink(path);
    if (fd == -1 || bind(fd, (struct sockaddr *)&address, sizeof address) == -1 ||
        chmod(path, 0666) == -1 || listen(fd, 4) == -1)
        die(path);
    return fd;
}

static void
go_into_background(void)
{
    pid_t pid = fork();

    if (pid == -1)
        die("fork");
    if (pid > 0) {
        printf("%d\n", (int)pid);
        exit(0);
    }
    setsid();
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
}

static void
raise_priority(void)
{
    struct sched_param param = {.sched_priority = 1};

    if (sched_setscheduler(0, SCHED_RR, &param) == -1)
        (void)setpriority(PRIO_PROCESS, 0, -15);
}

int
main(int argc, char **argv)
{
    static Log log;

    if (argc != 3) {
        fprintf(stderr, "usage: stamp SOCKET PREFIX\n");
        return 2;
    }
    int listener = listen_at(argv[1]);
    go_into_background();
    raise_priority();

    for (unsigned life = 1;; life++) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (connection == -1)
            die("accept");
        log_open(&log, argv[2], life);
        follow(connection, &log);
        close(log.fd);
        close(connection);
    }
}
