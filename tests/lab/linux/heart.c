/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heart.h"
#include "guest/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BEAT_NS 2000000
#define BEATS_PER_STATUS 16

typedef struct {
    int fd;
    size_t used;
    bool ready, ended;
    char text[4096];
} Lines;

/* Passes on what complete lines there are. */
static void
pass_lines(Lines *lines)
{
    char *line = lines->text, *end;
    ssize_t n = read(lines->fd, lines->text + lines->used, sizeof lines->text - 1 - lines->used);

    lines->ended = n == 0;
    if (n <= 0)
        return;
    lines->used += (size_t)n;
    lines->text[lines->used] = 0;
    while ((end = strchr(line, '\n')) != NULL) {
        char next = end[1];

        end[1] = 0;
        serial_text(line);
        lines->ready = lines->ready || line[0] == 'R';
        end[1] = next;
        line = end + 1;
    }
    lines->used -= (size_t)(line - lines->text);
    memmove(lines->text, line, lines->used);
}

static void
beat(uint32_t count, const Status *status)
{
    bool full = count % BEATS_PER_STATUS == 0;

    serial_text(full ? "+" : ".");
    serial_hex(count);
    if (full) {
        serial_text(" ");
        serial_hex(status->visits);
        serial_text(" ");
        serial_hex(status->swept);
        serial_text(" ");
        serial_hex(status->errors);
    }
    serial_text("\n");
}

/* Sleeps until `next`, or now if that is over, and sets when the beat after is due. */
static void
wait_for_beat(struct timespec *next)
{
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL) == EINTR)
        continue;
    clock_gettime(CLOCK_MONOTONIC, next);
    next->tv_nsec += BEAT_NS;
    if (next->tv_nsec >= 1000000000) {
        next->tv_sec++;
        next->tv_nsec -= 1000000000;
    }
}

void
heart_run(int fd, const Status *status)
{
    static Lines lines;
    struct timespec next = {0};

    lines.fd = fd;
    serial_init();
    while (!lines.ready && !lines.ended)
        pass_lines(&lines);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (uint32_t count = 1; !lines.ended; count++) {
        wait_for_beat(&next);
        beat(count, status);
        pass_lines(&lines);
    }
}

void
heart_end(const char *why)
{
    serial_text("X ");
    serial_text(why);
    serial_text("\n");
}
