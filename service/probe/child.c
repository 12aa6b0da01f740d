/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/child.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/confine.h"

#define READ_SIZE 65536u

struct VmfChild {
    char *path;
    GPid pid; /* of its group, too, so that what it starts ends with it */
    int in;   /* its standard input */
    int out;  /* its standard output */
    gint64 deadline;
    gsize left; /* bytes that it may still say */
    GByteArray *buffer;
    gsize used;        /* bytes of the buffer that were handed out */
    gboolean finished; /* it closed its output */
};

G_DEFINE_QUARK(vmf - probe - error - quark, vmf_probe_error)

const char *
vmf_probe_error_name(VmfProbeError code)
{
    static const char *const names[] = {"missing", "exited",   "timeout",
                                        "garbage", "too-much", "refused"};

    return names[code];
}

static gboolean
make_pipe(int fds[2], uid_t uid, gid_t gid)
{
    /* QEMU opens /dev/fd/1 anew, as the user it has become. */
    return g_unix_open_pipe(fds, FD_CLOEXEC, NULL) &&
           (geteuid() != 0 || fchown(fds[1], uid, gid) == 0);
}

static void
close_pipe(int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static gboolean
launch(VmfChild *self, const char *const *argv, VmfConfinement *confinement, int in, int out,
       GError **error)
{
    static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    g_autoptr(GError) problem = NULL;

    /* Reaped by vmf_child_free(), so that until then its number is its own. */
    if (g_spawn_async_with_fds("/", (char **)argv, (char **)environment,
                               G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL,
                               vmf_confinement_enter, confinement, &self->pid, in, out, -1,
                               &problem))
        return TRUE;
    g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_MISSING, "cannot run %s: %s", argv[0],
                problem->message);
    return FALSE;
}

VmfChild *
vmf_child_start(const char *const *argv, const char *user, const VmfChildLimits *limits,
                GError **error)
{
    g_autoptr(VmfChild) self = g_new0(VmfChild, 1);
    VmfConfinement confinement = {.space = limits->space, .seconds = limits->time / 1000 + 1};
    int in[2] = {-1, -1};
    int out[2] = {-1, -1};
    gboolean launched;

    self->in = self->out = -1;
    self->path = g_strdup(argv[0]);
    self->deadline = g_get_monotonic_time() + (gint64)limits->time * 1000;
    self->left = limits->output;
    self->buffer = g_byte_array_new();
    if (!vmf_confinement_prepare(&confinement, user, error))
        return NULL;
    if (!make_pipe(in, confinement.uid, confinement.gid) ||
        !make_pipe(out, confinement.uid, confinement.gid)) {
        close_pipe(in);
        close_pipe(out);
        g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_MISSING, "no pipe to %s: %s", argv[0],
                    g_strerror(errno));
        return NULL;
    }
    self->in = in[1];
    self->out = out[0];
    g_unix_set_fd_nonblocking(self->in, TRUE, NULL);
    g_unix_set_fd_nonblocking(self->out, TRUE, NULL);
    launched = launch(self, argv, &confinement, in[0], out[1], error);
    close(in[0]);
    close(out[1]);
    return launched ? g_steal_pointer(&self) : NULL;
}

void
vmf_child_free(VmfChild *self)
{
    if (!self)
        return;
    if (self->in >= 0)
        close(self->in);
    if (self->out >= 0)
        close(self->out);
    if (self->pid > 0) {
        kill(-self->pid, SIGKILL);
        kill(self->pid, SIGKILL); /* it may not have got to a group of its own */
        while (waitpid(self->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    g_byte_array_unref(self->buffer);
    g_free(self->path);
    g_free(self);
}

static gboolean
wait_for(VmfChild *self, int fd, short events, GError **error)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int n;

    do {
        gint64 left = self->deadline - g_get_monotonic_time();

        n = left > 0 ? poll(&poll_fd, 1, (int)(left / 1000 + 1)) : 0;
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        return TRUE;
    g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_TIMEOUT, "%s does not answer in time",
                self->path);
    return FALSE;
}

static gboolean
say_exited(VmfChild *self, GError **error)
{
    g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_EXITED, "%s ended without an answer",
                self->path);
    return FALSE;
}

gboolean
vmf_child_write(VmfChild *self, const char *text, gsize length, GError **error)
{
    while (length > 0) {
        gssize n = write(self->in, text, length);

        if (n > 0) {
            text += n;
            length -= (gsize)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (!wait_for(self, self->in, POLLOUT, error))
                return FALSE;
        } else if (n < 0 && errno != EINTR) {
            return say_exited(self, error);
        }
    }
    return TRUE;
}

/* Some more into the buffer; TRUE also at the end of output. */
static gboolean
read_more(VmfChild *self, GError **error)
{
    guint had = self->buffer->len;
    gssize n;

    if (!wait_for(self, self->out, POLLIN, error))
        return FALSE;
    g_byte_array_set_size(self->buffer, had + READ_SIZE);
    do
        n = read(self->out, self->buffer->data + had, READ_SIZE);
    while (n < 0 && errno == EINTR);
    g_byte_array_set_size(self->buffer, had + (guint)MAX(n, 0));
    if (n < 0)
        return errno == EAGAIN || say_exited(self, error);
    self->finished = n == 0;
    if ((gsize)n <= self->left) {
        self->left -= (gsize)n;
        return TRUE;
    }
    g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_TOO_MUCH,
                "%s says more than anybody would read", self->path);
    return FALSE;
}

const char *
vmf_child_read_line(VmfChild *self, gsize *ret_length, GError **error)
{
    gsize searched = 0;
    guint8 *newline;

    g_byte_array_remove_range(self->buffer, 0, (guint)self->used);
    self->used = 0;
    while (!(newline = self->buffer->len > searched ? memchr(self->buffer->data + searched, '\n',
                                                             self->buffer->len - searched)
                                                    : NULL)) {
        searched = self->buffer->len;
        if (self->finished) {
            say_exited(self, error);
            return NULL;
        }
        if (!read_more(self, error))
            return NULL;
    }
    self->used = (gsize)(newline - self->buffer->data) + 1;
    *ret_length = self->used - 1;
    return (const char *)self->buffer->data;
}

GBytes *
vmf_child_read_all(VmfChild *self, GError **error)
{
    g_byte_array_remove_range(self->buffer, 0, (guint)self->used);
    self->used = 0;
    while (!self->finished)
        if (!read_more(self, error))
            return NULL;
    self->used = self->buffer->len;
    return g_bytes_new(self->buffer->data, self->buffer->len);
}
