/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/intake.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/watch.h"

struct VmfIntake {
    int fd;
    VmfWatch *watch;
    VmfChunkPool *pool;
    const VmfIntakeEvents *events;
    gpointer owner;
    gboolean resting, over;
};

/* Reads up to `size` bytes: all that is there. *ret is 0, an errno, or -1 for the end of file. */
static gsize
vmf_intake_read(VmfIntake *intake, uint8_t *to, gsize size, int *ret)
{
    gsize filled = 0;

    *ret = 0;
    while (filled < size && *ret == 0) {
        ssize_t n = recv(intake->fd, to + filled, size - filled, MSG_DONTWAIT);

        if (n > 0)
            filled += (gsize)n;
        else
            *ret = n == 0 ? -1 : errno;
    }
    return filled;
}

/* One chunk; other sources shall have their turn. */
static void
vmf_intake_take(VmfIntake *intake, gsize room)
{
    g_autoptr(VmfChunk) chunk = vmf_chunk_new(intake->pool, VMF_CHUNK_SIZE);
    VmfSlice slice = {chunk, chunk->data + VMF_CHUNK_HEADROOM, 0};
    int why;

    slice.length =
        vmf_intake_read(intake, slice.data, MIN(room, VMF_CHUNK_SIZE - VMF_CHUNK_HEADROOM), &why);
    if (slice.length > 0)
        intake->events->bytes(intake->owner, vmf_slice_keep(&slice));
    if (why == 0 || why == EINTR || intake->over)
        return;
    if (why == EAGAIN) {
        intake->events->starved(intake->owner);
        return;
    }
    vmf_intake_stop(intake);
    if (why == -1)
        intake->events->end(intake->owner);
    else
        intake->events->failed(intake->owner, why);
}

static void
vmf_intake_ready(GIOCondition condition, gpointer data)
{
    VmfIntake *intake = data;
    gsize room = intake->events->room(intake->owner);

    intake->resting = room == 0;
    if (room > 0)
        vmf_intake_take(intake, room);
    if (!intake->over)
        vmf_watch_want(intake->watch, intake->resting ? 0 : G_IO_IN);
}

VmfIntake *
vmf_intake_new(int fd, VmfChunkPool *pool, const VmfIntakeEvents *events, gpointer owner)
{
    VmfIntake *intake = g_new0(VmfIntake, 1);

    intake->fd = fd;
    intake->pool = pool;
    intake->events = events;
    intake->owner = owner;
    intake->watch = vmf_watch_new(fd, vmf_intake_ready, intake);
    vmf_watch_want(intake->watch, G_IO_IN);
    return intake;
}

void
vmf_intake_free(VmfIntake *intake)
{
    vmf_watch_free(intake->watch);
    g_free(intake);
}

void
vmf_intake_poke(VmfIntake *intake)
{
    if (!intake->over)
        vmf_intake_ready(G_IO_IN, intake);
}

void
vmf_intake_resume(VmfIntake *intake)
{
    if (intake->resting)
        vmf_intake_poke(intake);
}

void
vmf_intake_stop(VmfIntake *intake)
{
    intake->over = TRUE;
    intake->resting = FALSE;
    vmf_watch_want(intake->watch, 0);
}
