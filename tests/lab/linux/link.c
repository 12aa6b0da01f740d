/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link.h"
#include "values.h"
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVER "/bin/redis-server"
#define SERVER_SOCKET "/redis"
#define NOTIFY_SOCKET "/ready"

/* Both hold whole commands and answers of any size there is, many of the usual one. */
#define BUFFER (2 << 20)

struct Link {
    int fd;
    size_t out_used;
    size_t in_begin, in_end; /* what came and was not taken yet */
    uint8_t out[BUFFER], in[BUFFER];
};

/* ---- starting ------------------------------------------------------------------------------- */

static struct sockaddr_un
address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

static void __attribute__((noreturn)) server_run(uint64_t max_memory)
{
    char room[24];

    snprintf(room, sizeof room, "%llu", (unsigned long long)max_memory);
    setenv("NOTIFY_SOCKET", NOTIFY_SOCKET, 1);
    setenv("LD_LIBRARY_PATH", "/lib", 1);
    execl(SERVER, SERVER, "--port", "0", "--unixsocket", SERVER_SOCKET, "--save", "",
          "--appendonly", "no", "--maxmemory", room, "--maxmemory-policy", "noeviction",
          "--supervised", "systemd", "--loglevel", "warning", (char *)NULL);
    perror(SERVER);
    _exit(1);
}

/* Redis tells a supervisor when it is ready, by a datagram; others tell only what it does. */
static void
wait_until_ready(int notified)
{
    char text[256];

    for (;;) {
        ssize_t n = recv(notified, text, sizeof text - 1, 0);

        if (n < 0)
            stop("redis-server does not say that it is ready");
        text[n] = 0;
        if (strstr(text, "READY=1") != NULL)
            return;
    }
}

Link *
link_start(uint64_t max_memory)
{
    struct sockaddr_un notify = address_of(NOTIFY_SOCKET), server = address_of(SERVER_SOCKET);
    struct timeval patience = {.tv_sec = 20};
    int notified = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    Link *link = calloc(1, sizeof *link);

    if (link == NULL || notified == -1 ||
        bind(notified, (struct sockaddr *)&notify, sizeof notify) == -1)
        stop("no socket");
    setsockopt(notified, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fork() == 0)
        server_run(max_memory);
    wait_until_ready(notified);
    close(notified);
    link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (link->fd == -1 || connect(link->fd, (struct sockaddr *)&server, sizeof server) == -1)
        stop("redis-server cannot be reached");
    return link;
}

/* ---- commands ------------------------------------------------------------------------------- */

static void
out_add(Link *link, const void *data, size_t length)
{
    if (link->out_used + length > sizeof link->out)
        stop("too much for one group of commands");
    memcpy(link->out + link->out_used, data, length);
    link->out_used += length;
}

void
link_words(Link *link, unsigned words)
{
    char head[16];

    out_add(link, head, (size_t)snprintf(head, sizeof head, "*%u\r\n", words));
}

void
link_data(Link *link, const void *data, size_t length)
{
    char head[24];

    out_add(link, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", length));
    out_add(link, data, length);
    out_add(link, "\r\n", 2);
}

void
link_text(Link *link, const char *format, ...)
{
    char text[64];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    link_data(link, text, (size_t)length);
}

void
link_send(Link *link)
{
    for (size_t done = 0; done < link->out_used;) {
        ssize_t n = write(link->fd, link->out + done, link->out_used - done);

        if (n <= 0)
            stop("redis-server has gone");
        done += (size_t)n;
    }
    link->out_used = 0;
}

/* ---- answers -------------------------------------------------------------------------------- */

/* Reads until there are `length` bytes to take. */
static void
in_want(Link *link, size_t length)
{
    if (link->in_begin + length > sizeof link->in) {
        memmove(link->in, link->in + link->in_begin, link->in_end - link->in_begin);
        link->in_end -= link->in_begin;
        link->in_begin = 0;
    }
    while (link->in_end - link->in_begin < length) {
        ssize_t n = read(link->fd, link->in + link->in_end, sizeof link->in - link->in_end);

        if (n <= 0)
            stop("redis-server has gone");
        link->in_end += (size_t)n;
    }
}

/* The next line, ended with a 0 instead of CR LF; lines are short. */
static char *
in_line(Link *link)
{
    for (size_t length = 3;; length++) {
        in_want(link, length);
        uint8_t *line = link->in + link->in_begin;

        if (line[length - 1] != '\n')
            continue;
        line[length - 2] = 0;
        link->in_begin += length;
        return (char *)line;
    }
}

Answer
link_answer(Link *link)
{
    const char *line = in_line(link);
    Answer answer = {.type = line[0], .number = strtoll(line + 1, NULL, 10)};

    if (answer.type == '-')
        stop("redis-server says: %s", line + 1);
    if (answer.type == '$' && answer.number >= 0 && answer.number <= VALUE_MAX) {
        in_want(link, (size_t)answer.number + 2);
        answer.data = link->in + link->in_begin;
        link->in_begin += (size_t)answer.number + 2;
    }
    return answer;
}
