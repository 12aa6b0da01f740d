/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stands in for vmferry-pump: speaks org.vmferry1.Pump with the daemon, and over the data link does
 * no more than show that both sides have the same secret. It carries nothing. As the real one it
 * outlives its daemon, and takes the next one, so what it is not told to end goes on.
 *
 * Its mood, in STUB_PUMP_MOOD, is how it misbehaves:
 *   ""           not at all
 *   "dies"       ends at once
 *   "silent"     never answers Start; leaves the file "silent" where its daemon runs, so that a
 * test knows when it has come so far "refuses"    answers AttachLink with LinkBroken "stubborn"
 * does not end when it is told to Stop "breaks"     dies as soon as the link is up
 */
#include <gio/gunixfdlist.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pump-bus.h"

#define SECRET_SIZE 32

#ifdef __SANITIZE_ADDRESS__
/* It ends in the middle of whatever it is told. */
int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
    return 1;
}
#endif

typedef struct {
    const char *mood;
    GMainLoop *loop;
    GList *controls; /* GDBusConnection */
    VmfBusPump *skeleton;
    uint8_t secret[SECRET_SIZE];
    uint8_t shown[SECRET_SIZE];
    GSocketConnection *link;
    GDBusMethodInvocation *attaching;
} Stub;

static gboolean
is_in_mood(const Stub *stub, const char *mood)
{
    return g_str_equal(stub->mood, mood);
}

static void
flush(Stub *stub)
{
    for (GList *item = stub->controls; item; item = item->next)
        g_dbus_connection_flush_sync(item->data, NULL, NULL);
}

static void
end(Stub *stub, const char *name, const char *message)
{
    vmf_bus_pump_emit_ended(stub->skeleton, name, message, g_variant_new("a{sv}", NULL));
    flush(stub);
    g_main_loop_quit(stub->loop);
}

static gboolean
on_start(VmfBusPump *skeleton, GDBusMethodInvocation *invocation, const char *id, const char *side,
         GVariant *secret, gboolean encrypt, GVariant *options, Stub *stub)
{
    gsize size;
    const uint8_t *data = g_variant_get_fixed_array(secret, &size, 1);

    if (is_in_mood(stub, "silent")) {
        g_file_set_contents("silent", "", 0, NULL);
        return TRUE;
    }
    if (size != SECRET_SIZE) {
        g_dbus_method_invocation_return_error(invocation, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                                              "a secret of %u bytes", (guint)size);
        return TRUE;
    }
    memcpy(stub->secret, data, size);
    vmf_bus_pump_set_id(skeleton, id);
    vmf_bus_pump_set_side(skeleton, side);
    vmf_bus_pump_set_state(skeleton, "started");
    vmf_bus_pump_complete_start(skeleton, invocation);
    return TRUE;
}

/* Nothing comes after the secrets: whatever ends this read is the end of the link. */
static void
on_link_over(GObject *source, GAsyncResult *result, gpointer data)
{
    end(data, VMF_ERROR_PREFIX "LinkBroken", "the data link ended");
}

static void
on_secret(GObject *source, GAsyncResult *result, gpointer data)
{
    Stub *stub = data;
    gsize size = 0;

    g_input_stream_read_all_finish(G_INPUT_STREAM(source), result, &size, NULL);
    if (size != SECRET_SIZE || memcmp(stub->shown, stub->secret, SECRET_SIZE) != 0) {
        g_dbus_method_invocation_return_error_literal(g_steal_pointer(&stub->attaching), VMF_ERROR,
                                                      VMF_ERROR_PEER_UNTRUSTED, "wrong secret");
        g_clear_object(&stub->link);
        return;
    }
    vmf_bus_pump_set_state(stub->skeleton, "linked");
    vmf_bus_pump_complete_attach_link(stub->skeleton, g_steal_pointer(&stub->attaching), NULL);
    if (is_in_mood(stub, "breaks")) {
        flush(stub);
        abort();
    }
    g_input_stream_read_async(G_INPUT_STREAM(source), stub->shown, 1, G_PRIORITY_DEFAULT, NULL,
                              on_link_over, stub);
}

static gboolean
on_attach_link(VmfBusPump *skeleton, GDBusMethodInvocation *invocation, GUnixFDList *descriptors,
               GVariant *handle, gboolean initiator, guint number, GVariant *secret, Stub *stub)
{
    int fd = g_unix_fd_list_get(descriptors, g_variant_get_handle(handle), NULL);
    g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, NULL);

    if (is_in_mood(stub, "refuses")) {
        g_dbus_method_invocation_return_error_literal(invocation, VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                                                      "in no mood for a link");
        return TRUE;
    }
    if (stub->link) {
        g_dbus_method_invocation_return_error_literal(invocation, VMF_ERROR, VMF_ERROR_FAILED,
                                                      "there is a link already");
        return TRUE;
    }
    stub->attaching = invocation;
    stub->link = g_socket_connection_factory_create_connection(socket);
    g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(stub->link)), stub->secret,
                              SECRET_SIZE, NULL, NULL, NULL);
    g_input_stream_read_all_async(g_io_stream_get_input_stream(G_IO_STREAM(stub->link)),
                                  stub->shown, SECRET_SIZE, G_PRIORITY_DEFAULT, NULL, on_secret,
                                  stub);
    return TRUE;
}

static gboolean
on_stop(VmfBusPump *skeleton, GDBusMethodInvocation *invocation, const char *name,
        const char *message, Stub *stub)
{
    if (is_in_mood(stub, "stubborn"))
        return TRUE;
    vmf_bus_pump_complete_stop(skeleton, invocation);
    end(stub, name, message);
    return TRUE;
}

/* Nobody will start one that did not answer its daemon. */
static void
on_control_closed(GDBusConnection *control, gboolean vanished, GError *error, Stub *stub)
{
    g_dbus_interface_skeleton_unexport_from_connection(G_DBUS_INTERFACE_SKELETON(stub->skeleton),
                                                       control);
    stub->controls = g_list_remove(stub->controls, control);
    if (is_in_mood(stub, "silent"))
        g_main_loop_quit(stub->loop);
}

/* Daemons come and go. */
static gboolean
on_daemon(GSocket *listener, GIOCondition condition, gpointer data)
{
    Stub *stub = data;
    g_autoptr(GSocket) socket = g_socket_accept(listener, NULL, NULL);
    g_autoptr(GSocketConnection) stream =
        socket ? g_socket_connection_factory_create_connection(socket) : NULL;
    g_autofree char *guid = g_dbus_generate_guid();
    GDBusConnection *control;

    if (!stream)
        return G_SOURCE_CONTINUE;
    control = g_dbus_connection_new_sync(G_IO_STREAM(stream), guid,
                                         G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                                             G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                                         NULL, NULL, NULL);
    if (!control)
        return G_SOURCE_CONTINUE;
    stub->controls = g_list_prepend(stub->controls, control);
    g_signal_connect(control, "closed", G_CALLBACK(on_control_closed), stub);
    g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(stub->skeleton), control,
                                     "/org/vmferry1/pump", NULL);
    g_dbus_connection_start_message_processing(control);
    return G_SOURCE_CONTINUE;
}

static void
take_controls(Stub *stub, int fd)
{
    GSocket *listener = g_socket_new_from_fd(fd, NULL);
    GSource *source = g_socket_create_source(listener, G_IO_IN, NULL);

    g_source_set_callback(source, G_SOURCE_FUNC(on_daemon), stub, NULL);
    g_source_attach(source, NULL);
    g_source_unref(source);
}

int
main(int argc, char **argv)
{
    Stub stub = {.mood = g_getenv("STUB_PUMP_MOOD") ? g_getenv("STUB_PUMP_MOOD") : ""};

    /* --control-fd FD --user USER, as the real one is called */
    if (argc != 5 || !g_str_equal(argv[1], "--control-fd") || !g_str_equal(argv[3], "--user"))
        return 2;
    if (is_in_mood(&stub, "dies"))
        return 1;
    (void)vmf_error_quark();
    stub.loop = g_main_loop_new(NULL, FALSE);
    stub.skeleton = vmf_bus_pump_skeleton_new();
    vmf_bus_pump_set_state(stub.skeleton, "waiting");
    g_signal_connect(stub.skeleton, "handle-start", G_CALLBACK(on_start), &stub);
    g_signal_connect(stub.skeleton, "handle-attach-link", G_CALLBACK(on_attach_link), &stub);
    g_signal_connect(stub.skeleton, "handle-stop", G_CALLBACK(on_stop), &stub);
    take_controls(&stub, atoi(argv[2]));
    g_main_loop_run(stub.loop);
    return 0;
}
