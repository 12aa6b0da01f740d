/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/first-bytes.h"

#include <string.h>
#include <sys/socket.h>

/* Of QEMU's include/migration: QEMU_VM_FILE_MAGIC and MULTIFD_MAGIC. */
static const guint8 vmf_stream_begins[][4] = {{'Q', 'E', 'V', 'M'}, {0x11, 0x22, 0x33, 0x44}};

typedef struct {
    GSource *ready, *late;
} VmfFirstBytes;

static void
vmf_first_bytes_free(gpointer data)
{
    VmfFirstBytes *self = data;

    g_source_destroy(self->ready);
    g_source_unref(self->ready);
    g_source_destroy(self->late);
    g_source_unref(self->late);
    g_free(self);
}

/* What waits holds the task, and is let go by the first that comes. */
static gboolean
vmf_first_bytes_over(GTask *task, gboolean stream)
{
    VmfFirstBytes *self = g_task_get_task_data(task);

    if (!g_task_return_error_if_cancelled(task))
        g_task_return_boolean(task, stream);
    g_source_destroy(self->late);
    g_source_destroy(self->ready);
    return G_SOURCE_REMOVE;
}

static gboolean
vmf_first_bytes_on_ready(GSocket *connection, GIOCondition condition, gpointer data)
{
    guint8 bytes[4];
    ssize_t n = recv(g_socket_get_fd(connection), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    gboolean stream = FALSE;

    for (gsize i = 0; n == sizeof bytes && i < G_N_ELEMENTS(vmf_stream_begins); i++)
        stream |= memcmp(bytes, vmf_stream_begins[i], sizeof bytes) == 0;
    return vmf_first_bytes_over(data, stream);
}

static gboolean
vmf_first_bytes_on_late(gpointer data)
{
    return vmf_first_bytes_over(data, FALSE);
}

void
vmf_first_bytes_wait(GSocket *connection, guint milliseconds, GCancellable *cancellable,
                     GAsyncReadyCallback callback, gpointer data)
{
    g_autoptr(GTask) task = g_task_new(connection, cancellable, callback, data);
    VmfFirstBytes *self = g_new0(VmfFirstBytes, 1);

    g_task_set_check_cancellable(task, FALSE); /* it is asked once, in vmf_first_bytes_over() */
    self->ready = g_socket_create_source(connection, G_IO_IN, cancellable);
    self->late = g_timeout_source_new(milliseconds);
    g_source_set_callback(self->ready, G_SOURCE_FUNC(vmf_first_bytes_on_ready), g_object_ref(task),
                          g_object_unref);
    g_source_set_callback(self->late, vmf_first_bytes_on_late, g_object_ref(task), g_object_unref);
    g_task_set_task_data(task, self, vmf_first_bytes_free);
    g_source_attach(self->ready, NULL);
    g_source_attach(self->late, NULL);
}

gboolean
vmf_first_bytes_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
