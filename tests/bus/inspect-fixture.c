/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect-fixture.h"

#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int
vmf_inspecting_set_up(void **state)
{
    VmfInspecting *fixture = g_new0(VmfInspecting, 1);

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->host = vmf_lab_add_host(fixture->lab, "hosta");
    vmf_host_set(fixture->host, "Inspect", "Path", vmf_program("VMFERRY_INSPECT"));
    vmf_host_set(fixture->host, "Limits", "Inspections", G_STRINGIFY(VMF_AT_ONCE));
    vmf_host_start(fixture->host);
    return 0;
}

int
vmf_inspecting_tear_down(void **state)
{
    VmfInspecting *fixture = *state;

    vmf_host_assert_clean(fixture->host);
    vmf_host_stop(fixture->host);
    vmf_lab_free(fixture->lab);
    g_free(fixture);
    return 0;
}

/* ---- descriptors ---- */

int
vmf_file_of(const void *bytes, gsize length)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);

    assert_int_equal(write(fd, bytes, length), length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

char *
vmf_golden_path(const char *name)
{
    return g_build_filename(g_getenv("VMFERRY_SOURCE"), "tests", "golden", "inspect", name, NULL);
}

int
vmf_open_golden(const char *name)
{
    g_autofree char *path = vmf_golden_path(name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* All that was written to a file. */
char *
vmf_text_in(int fd)
{
    GString *text = g_string_new(NULL);
    char buffer[4096];
    ssize_t n;

    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        g_string_append_len(text, buffer, n);
    close(fd);
    return g_string_free(text, FALSE);
}

/* ---- calls ---- */

/* Takes the descriptors. */
GUnixFDList *
vmf_fd_list_of(int first, int second)
{
    const int fds[] = {first, second};

    return g_unix_fd_list_new_from_array(fds, G_N_ELEMENTS(fds));
}

/* Takes `input`; `output` stays. */
gboolean
vmf_call_inspect(VmfHost *host, int input, int output, const char *options, GError **error)
{
    g_autoptr(GUnixFDList) list = vmf_fd_list_of(input, dup(output));

    return vmf_bus_manager_call_inspect_sync(host->manager, g_variant_new_handle(0),
                                             g_variant_new_handle(1), g_variant_new_parsed(options),
                                             list, NULL, NULL, error);
}

/* What Inspect wrote; the call must succeed. */
char *
vmf_inspect(VmfHost *host, int input, const char *options)
{
    int output = vmf_file_of("", 0);
    g_autoptr(GError) error = NULL;

    if (!vmf_call_inspect(host, input, output, options, &error))
        fail_msg("Inspect: %s", error->message);
    return vmf_text_in(output);
}

void
vmf_assert_inspect_fails(VmfHost *host, int input, const char *options, const char *name,
                         const char *words)
{
    int output = vmf_file_of("", 0);
    GError *error = NULL;

    vmf_call_inspect(host, input, output, options, &error);
    vmf_assert_error(error, name, words);
    close(output);
}

static void
on_called(GObject *manager, GAsyncResult *result, gpointer data)
{
    VmfCall *call = data;

    vmf_bus_manager_call_inspect_finish(VMF_BUS_MANAGER(manager), NULL, result, &call->error);
    call->done = TRUE;
}

gboolean
vmf_call_is_done(gpointer call)
{
    return ((VmfCall *)call)->done;
}

/* Inspects a pipe of which the caller keeps the other end. */
int
vmf_begin_inspect(VmfBusManager *manager, const char *options, VmfCall *call)
{
    g_autoptr(GUnixFDList) list = NULL;
    int ends[2];

    *call = (VmfCall){0};
    assert_true(g_unix_open_pipe(ends, FD_CLOEXEC, NULL));
    list = vmf_fd_list_of(ends[0], vmf_file_of("", 0));
    vmf_bus_manager_call_inspect(manager, g_variant_new_handle(0), g_variant_new_handle(1),
                                 g_variant_new_parsed(options), list, NULL, on_called, call);
    return ends[1];
}

static gboolean
on_writable(gint fd, GIOCondition condition, gpointer flag)
{
    *(gboolean *)flag = TRUE;
    return G_SOURCE_REMOVE;
}

static gboolean
is_set(gpointer flag)
{
    return *(gboolean *)flag;
}

/* Fills the pipe with a save image of much XML, and waits until some of it was read. */
void
vmf_wait_until_reading(int fd)
{
    g_autofree char *nothing = g_malloc0(1 << 20);
    gboolean writable = FALSE;

    memcpy(nothing, "LibvirtQemudSave", 16);
    memcpy(nothing + 16, (const uint32_t[]){2, 60 << 20}, 8);
    assert_true(g_unix_set_fd_nonblocking(fd, TRUE, NULL));
    assert_true(write(fd, nothing, 1 << 20) > 0);
    g_unix_fd_add(fd, G_IO_OUT, on_writable, &writable);
    vmf_wait_until(is_set, &writable, "a vmferry-inspect that reads");
}

pid_t
vmf_only_child(VmfHost *host)
{
    g_autoptr(GArray) children = vmf_children_of(vmf_host_get_pid(host));

    assert_int_equal(children->len, 1);
    return g_array_index(children, pid_t, 0);
}

void
vmf_expect_end(VmfCall *call, const char *name, const char *words)
{
    vmf_wait_until(vmf_call_is_done, call, "the answer to Inspect");
    vmf_assert_error(call->error, name, words);
}
