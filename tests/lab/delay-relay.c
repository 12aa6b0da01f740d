/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A long way, as far as two ends of a TCP connection can tell: takes connections on a port, dials
 * on, and hands every byte over when it is so many milliseconds old. The kernel's netem is not
 * everywhere.
 *
 *     delay-relay [--delay MS | --damage MIB] [--buffer MIB] LISTEN-ADDRESS PORT TO-ADDRESS PORT
 *
 * With --damage it does not wait, and of so many MiB that go one way it changes a byte, as a bad
 * switch does.
 *
 * Memory is bounded: a direction holds at most --buffer, then it reads no more. What the way can
 * carry at a time is that per delay; how fast it is, the interface behind it says. The kernel's own
 * buffers are kept small, so that what waits, waits here, in order of age. Ends on SIGTERM, and
 * then prints how many bytes a direction held at most.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 64,
    SOCKET_BUFFER = 256 * 1024, /* bytes, each way of each socket */
    MARKS = 4096,               /* reads that are remembered in a direction */
};

/* What was read at one time. */
typedef struct {
    size_t end;  /* offset behind it, counted since the connection began */
    int64_t due; /* ns */
} Mark;

/* From one socket to the other: a ring of bytes, and when they may go on. */
typedef struct {
    uint8_t *ring;
    size_t read, written; /* offsets since the connection began */
    Mark marks[MARKS];
    unsigned first, count;
    bool over;   /* end of file was read */
    int64_t end; /* when that may be told, ns */
    bool told;
} Way;

typedef struct Link {
    int fds[2];
    Way ways[2]; /* [i]: from fds[i] to fds[1 - i] */
    struct Link *next, **previous;
} Link;

typedef struct {
    int64_t delay; /* ns */
    size_t damage; /* one byte of that many; 0: none */
    size_t buffer; /* bytes */
    struct sockaddr_in listen, to;
    int poll, listener;
    Link *links;
    size_t most; /* bytes that a direction has held */
} Relay;

static volatile sig_atomic_t ended;

static void
on_signal(int number)
{
    ended = 1;
}

static int64_t
now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void
tune(int fd)
{
    const int on = 1, size = SOCKET_BUFFER;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* ---- links ---- */

static void
link_free(Link *link)
{
    for (int i = 0; i < 2; i++) {
        close(link->fds[i]);
        free(link->ways[i].ring);
    }
    if (link->next)
        link->next->previous = link->previous;
    *link->previous = link->next;
    free(link);
}

static void
link_watch(Relay *relay, Link *link, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = link};

    if (epoll_ctl(relay->poll, EPOLL_CTL_ADD, fd, &event) < 0)
        err(1, "epoll_ctl");
}

static void
link_new(Relay *relay, int fd)
{
    Link *link = calloc(1, sizeof *link);
    int to = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (!link || to < 0)
        err(1, "a new connection");
    tune(fd);
    tune(to);
    if (connect(to, (struct sockaddr *)&relay->to, sizeof relay->to) < 0 && errno != EINPROGRESS)
        err(1, "dialling on");
    link->fds[0] = fd;
    link->fds[1] = to;
    for (int i = 0; i < 2; i++)
        if (!(link->ways[i].ring = malloc(relay->buffer)))
            err(1, "memory");
    link->next = relay->links;
    link->previous = &relay->links;
    if (link->next)
        link->next->previous = &link->next;
    relay->links = link;
    link_watch(relay, link, fd);
    link_watch(relay, link, to);
}

/* ---- bytes ---- */

/* Of `n` bytes that have come; the one in the middle of each `damage` of them. */
static void
way_damage(const Relay *relay, Way *way, size_t n)
{
    for (size_t at = way->read; relay->damage && at < way->read + n; at++)
        if (at % relay->damage == relay->damage / 2)
            way->ring[at % relay->buffer] ^= 1;
}

/* -1: the socket broke; 1: something was read; 0: nothing now. */
static int
way_read(Relay *relay, Way *way, int fd, int64_t time)
{
    size_t at = way->read % relay->buffer;
    size_t room = relay->buffer - (way->read - way->written);
    ssize_t n;

    if (room > relay->buffer - at)
        room = relay->buffer - at;
    if (way->over || room == 0 || way->count == MARKS)
        return 0;
    n = recv(fd, way->ring + at, room, 0);
    if (n < 0)
        return errno == EAGAIN || errno == ENOTCONN || errno == EINTR ? 0 : -1;
    if (n == 0) {
        way->over = true;
        way->end = time + relay->delay;
        return 1;
    }
    way_damage(relay, way, (size_t)n);
    way->read += (size_t)n;
    if (way->read - way->written > relay->most)
        relay->most = way->read - way->written;
    way->marks[(way->first + way->count++) % MARKS] = (Mark){way->read, time + relay->delay};
    return 1;
}

/* How much is old enough; drops marks that were passed. */
static size_t
way_due(Way *way, int64_t time)
{
    size_t end = way->written;

    while (way->count > 0 && way->marks[way->first].end <= way->written) {
        way->first = (way->first + 1) % MARKS;
        way->count--;
    }
    for (unsigned i = 0; i < way->count; i++) {
        const Mark *mark = &way->marks[(way->first + i) % MARKS];

        if (mark->due > time)
            break;
        end = mark->end;
    }
    return end - way->written;
}

static int
way_write(Relay *relay, Way *way, int fd, int64_t time)
{
    size_t at = way->written % relay->buffer;
    size_t length = way_due(way, time);
    ssize_t n;

    if (length == 0) {
        if (!way->over || way->told || way->written < way->read || way->end > time)
            return 0;
        way->told = true;
        shutdown(fd, SHUT_WR);
        return 1;
    }
    if (length > relay->buffer - at)
        length = relay->buffer - at;
    n = send(fd, way->ring + at, length, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == ENOTCONN || errno == EINTR ? 0 : -1;
    way->written += (size_t)n;
    return 1;
}

/* When something will be old enough, ns; INT64_MAX: nothing waits but for a socket. */
static int64_t
way_next(const Way *way, int64_t time)
{
    if (way->count > 0) {
        for (unsigned i = 0; i < way->count; i++) {
            const Mark *mark = &way->marks[(way->first + i) % MARKS];

            if (mark->due > time)
                return mark->due;
        }
    } else if (way->over && !way->told) {
        return way->end;
    }
    return INT64_MAX;
}

/* All that can be done now; false when the link is over, and was freed. */
static bool
link_run(Relay *relay, Link *link, int64_t time)
{
    int did = 1;

    while (did > 0) {
        did = 0;
        for (int i = 0; i < 2 && did >= 0; i++) {
            int in = way_read(relay, &link->ways[i], link->fds[i], time);
            int out = in < 0 ? -1 : way_write(relay, &link->ways[i], link->fds[1 - i], time);

            did = in < 0 || out < 0 ? -1 : did | in | out;
        }
    }
    if (did == 0 && !(link->ways[0].told && link->ways[1].told))
        return true;
    link_free(link);
    return false;
}

/* ---- the loop ---- */

static void
relay_accept(Relay *relay)
{
    int fd;

    while ((fd = accept4(relay->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        link_new(relay, fd);
}

/* Runs every link; when the next one wants to, as a timeout of epoll_pwait2(). */
static struct timespec
relay_run_links(Relay *relay)
{
    int64_t time = now(), next = time + INT64_C(3600000000000);

    for (Link *link = relay->links, *after; link; link = after) {
        after = link->next;
        if (!link_run(relay, link, time))
            continue;
        for (int i = 0; i < 2; i++) {
            int64_t due = way_next(&link->ways[i], time);

            next = due < next ? due : next;
        }
    }
    next = next > time ? next - time : 0;
    return (struct timespec){next / 1000000000, next % 1000000000};
}

static void
relay_run(Relay *relay)
{
    while (!ended) {
        struct epoll_event events[EVENTS];
        struct timespec timeout = relay_run_links(relay);
        int n = epoll_pwait2(relay->poll, events, EVENTS, &timeout, NULL);

        for (int i = 0; i < n; i++)
            if (!events[i].data.ptr)
                relay_accept(relay);
    }
}

static void
relay_listen(Relay *relay)
{
    const int on = 1;
    struct epoll_event event = {.events = EPOLLIN};

    relay->poll = epoll_create1(EPOLL_CLOEXEC);
    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (relay->poll < 0 || relay->listener < 0)
        err(1, "starting");
    setsockopt(relay->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(relay->listener, (struct sockaddr *)&relay->listen, sizeof relay->listen) < 0 ||
        listen(relay->listener, 64) < 0 ||
        epoll_ctl(relay->poll, EPOLL_CTL_ADD, relay->listener, &event) < 0)
        err(1, "listening");
}

static struct sockaddr_in
address(const char *host, const char *port)
{
    struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

    if (inet_pton(AF_INET, host, &result.sin_addr) != 1 || result.sin_port == 0)
        errx(2, "'%s' and '%s' are no IPv4 address and port", host, port);
    return result;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"delay", required_argument, NULL, 'd'},
        {"damage", required_argument, NULL, 'c'},
        {"buffer", required_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    Relay relay = {.delay = 50 * INT64_C(1000000), .buffer = 16 << 20};
    int option;

    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'd')
            relay.delay = atol(optarg) * INT64_C(1000000);
        else if (option == 'c')
            relay = (Relay){.damage = (size_t)atol(optarg) << 20, .buffer = relay.buffer};
        else if (option == 'b')
            relay.buffer = (size_t)atol(optarg) << 20;
        else
            errx(option == 'h' ? 0 : 2,
                 "usage: delay-relay [--delay MS | --damage MIB] [--buffer MIB] LISTEN PORT TO PORT");
    }
    if (argc - optind != 4 || relay.delay < 0 || relay.buffer == 0)
        errx(2, "expected two addresses and ports; see delay-relay --help");
    relay.listen = address(argv[optind], argv[optind + 1]);
    relay.to = address(argv[optind + 2], argv[optind + 3]);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    relay_listen(&relay);
    relay_run(&relay);
    while (relay.links)
        link_free(relay.links);
    close(relay.listener);
    close(relay.poll);
    printf("%zu\n", relay.most);
    return 0;
}
