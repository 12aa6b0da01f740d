/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first and, but for Redis, only program of a guest with Linux.
 *
 * The kernel hands it the words of its command line that it does not know as environment.
 */
#include "heart.h"
#include "guest/serial.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int lines = -1;

static void
say_arguments(const char *format, va_list arguments)
{
    char text[256]; /* less than PIPE_BUF: lines of two processes do not mix */
    int length = vsnprintf(text, sizeof text - 1, format, arguments);

    if (length > (int)sizeof text - 2)
        length = (int)sizeof text - 2;
    text[length++] = '\n';
    if (write(lines, text, (size_t)length) != length)
        _exit(1);
}

void
say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_arguments(format, arguments);
    va_end(arguments);
}

void
stop(const char *format, ...)
{
    char text[200];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say("X %s", text);
    _exit(1);
}

static uint32_t
option(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL)
        stop("the command line lacks %s=", name);
    return (uint32_t)strtoul(value, NULL, 10);
}

static void __attribute__((noreturn)) run_workload(Status *status)
{
    const char *kind = getenv("kind");
    Options options = {
        .filled = option("filled"),
        .set = option("set"),
        .rate = option("rate"),
        .verify = option("verify"),
        .pattern = option("pattern"),
        .fill = option("fill"),
        .seed = option("seed"),
    };

    say("I set=%x filled=%x pattern=%x fill=%x seed=%x rate=%x verify=%x", options.set,
        options.filled, options.pattern, options.fill, options.seed, options.rate, options.verify);
    prctl(PR_SET_TIMERSLACK, 1);
    if (kind != NULL && strcmp(kind, "redis") == 0)
        redis_run(&options, status);
    memory_run(&options, status);
}

/* Ahead of everything else; it never runs for long. */
static void
become_heart(void)
{
    struct sched_param param = {.sched_priority = 10};

    if (ioperm(SERIAL_PORT, SERIAL_PORTS, 1) == -1 || mlockall(MCL_CURRENT | MCL_FUTURE) == -1 ||
        sched_setscheduler(0, SCHED_FIFO, &param) == -1) {
        perror("heart");
        exit(1); /* the kernel panics, and says so on its console */
    }
}

int
main(void)
{
    int ends[2];
    Status *status =
        mmap(NULL, sizeof *status, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    mkdir("/proc", 0755);
    if (status == MAP_FAILED || mount("proc", "/proc", "proc", 0, NULL) == -1 ||
        pipe2(ends, O_CLOEXEC) == -1) {
        perror("init");
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        lines = ends[1];
        run_workload(status);
    }
    close(ends[1]);
    become_heart();
    heart_run(ends[0], status);
    heart_end("the workload has ended");
    for (;;)
        pause(); /* the end of process 1 would be a panic */
}
