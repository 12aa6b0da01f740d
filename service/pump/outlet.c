/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/outlet.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/watch.h"

#define IOVECS 16
#define SEND_BUFFER (1024 * 1024) /* bytes; the kernel gives what its limit allows */

struct VmfOutlet {
    int fd; /* -1: not there yet */
    VmfWatch *watch;
    const VmfOutletEvents *events;
    gpointer owner;
    VmfSliceQueue queue;
    gboolean end, over;
};

VmfOutlet *
vmf_outlet_new(const VmfOutletEvents *events, gpointer owner)
{
    VmfOutlet *outlet = g_new0(VmfOutlet, 1);

    outlet->fd = -1;
    outlet->events = events;
    outlet->owner = owner;
    return outlet;
}

void
vmf_outlet_free(VmfOutlet *outlet)
{
    g_clear_pointer(&outlet->watch, vmf_watch_free);
    vmf_slice_queue_clear(&outlet->queue);
    g_free(outlet);
}

void
vmf_outlet_stop(VmfOutlet *outlet)
{
    outlet->over = TRUE;
    vmf_slice_queue_clear(&outlet->queue);
    if (outlet->watch)
        vmf_watch_want(outlet->watch, 0);
}

/* Returns what the socket took; 0 if it is full or failed, and then the outlet is over. */
static gsize
vmf_outlet_send(VmfOutlet *outlet, struct iovec *iov, gsize n)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};
    ssize_t written = sendmsg(outlet->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    int error = errno;

    if (written >= 0)
        return (gsize)written;
    if (error == EAGAIN || error == EINTR)
        return 0;
    vmf_outlet_stop(outlet);
    outlet->events->failed(outlet->owner, error);
    return 0;
}

static gsize
vmf_outlet_send_queue(VmfOutlet *outlet)
{
    struct iovec iov[IOVECS];
    guint n = MIN(outlet->queue.count, IOVECS);
    gsize written;

    for (guint i = 0; i < n; i++) {
        const VmfSlice *slice = vmf_slice_queue_peek(&outlet->queue, i);

        iov[i] = (struct iovec){slice->data, slice->length};
    }
    written = vmf_outlet_send(outlet, iov, n);
    if (!outlet->over)
        vmf_slice_queue_drop(&outlet->queue, written);
    return written;
}

/* The socket may have been closed by its other end already, which is fine: it has got all. */
static void
vmf_outlet_finish(VmfOutlet *outlet)
{
    vmf_outlet_stop(outlet);
    (void)shutdown(outlet->fd, SHUT_WR);
    outlet->events->ended(outlet->owner);
}

static void
vmf_outlet_flush(VmfOutlet *outlet)
{
    while (outlet->queue.count > 0 && !outlet->over) {
        gsize written = vmf_outlet_send_queue(outlet);

        if (written == 0)
            break;
        outlet->events->delivered(outlet->owner, written);
    }
    if (outlet->over)
        return;
    vmf_watch_want(outlet->watch, outlet->queue.count > 0 ? G_IO_OUT : 0);
    if (outlet->queue.count == 0 && outlet->end)
        vmf_outlet_finish(outlet);
}

static void
vmf_outlet_ready(GIOCondition condition, gpointer data)
{
    vmf_outlet_flush(data);
}

/*
 * A reader that wakes up and finds little goes back to sleep: on a busy machine, a larger buffer
 * halves how often. (TCP finds its own size, and would stop to do so.)
 */
static void
vmf_outlet_tune(int fd)
{
    const int size = SEND_BUFFER;
    int domain = 0;
    socklen_t length = sizeof domain;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

void
vmf_outlet_attach(VmfOutlet *outlet, int fd)
{
    vmf_outlet_tune(fd);
    outlet->fd = fd;
    outlet->watch = vmf_watch_new(fd, vmf_outlet_ready, outlet);
    vmf_outlet_flush(outlet);
}

void
vmf_outlet_write(VmfOutlet *outlet, const VmfSlice *bytes)
{
    VmfSlice rest = *bytes;
    gsize written = 0;

    if (outlet->over)
        return;
    if (outlet->fd >= 0 && outlet->queue.count == 0) {
        struct iovec iov = {rest.data, rest.length};

        written = vmf_outlet_send(outlet, &iov, 1);
        rest.data += written;
        rest.length -= written;
    }
    if (rest.length > 0 && !outlet->over) {
        vmf_slice_queue_add(&outlet->queue, &rest);
        if (outlet->watch)
            vmf_watch_want(outlet->watch, G_IO_OUT);
    }
    if (written > 0)
        outlet->events->delivered(outlet->owner, written);
}

gsize
vmf_outlet_waiting(const VmfOutlet *outlet)
{
    return outlet->queue.bytes;
}

void
vmf_outlet_end(VmfOutlet *outlet)
{
    outlet->end = TRUE;
    if (outlet->fd >= 0 && !outlet->over)
        vmf_outlet_flush(outlet);
}
