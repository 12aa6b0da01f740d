/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many at once at a vmferryd: strangers at its port and clients on its bus.
 *
 *   swarm --seconds N --connections N --clients N HOST PORT
 *
 * That many connections a second are made to the port, each of which says a preface with a ticket
 * that nobody has, or nothing, and hangs up. That many clients, each with a connection of its own
 * to the system bus, hear all signals of vmferryd, read all objects as they begin, as programs with
 * an object manager do, and then the properties of its Manager, twice a second. Prints one JSON
 * object: what was made, and how long calls took.
 */
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>

#define TICK 10 /* ms */
#define CALL_INTERVAL 500
#define PREFACE_SIZE 32

typedef struct {
    int seconds, connections, clients;
    GSocketAddress *there;
    guint due; /* connections, times TICK / 1000 */
    guint64 made, refused, signals, failed;
    GArray *latencies; /* double, ms */
    GPtrArray *buses;
    guint next_client;
} Swarm;

/* ---- strangers ---- */

static gboolean
on_connected(GSocket *socket, GIOCondition condition, gpointer data)
{
    Swarm *swarm = data;
    char preface[PREFACE_SIZE] = "vmferry\n\0\1\2";

    if (!g_socket_check_connect_result(socket, NULL))
        swarm->refused++;
    else if (swarm->made++ % 4) /* one in four says nothing */
        (void)g_socket_send(socket, preface, sizeof preface, NULL, NULL);
    g_socket_close(socket, NULL);
    return G_SOURCE_REMOVE;
}

static void
dial(Swarm *swarm)
{
    g_autoptr(GSocket) socket = g_socket_new(g_socket_address_get_family(swarm->there),
                                             G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    g_autoptr(GSource) source = NULL;
    g_autoptr(GError) error = NULL;

    if (!socket) {
        swarm->refused++;
        return;
    }
    g_socket_set_blocking(socket, FALSE);
    if (!g_socket_connect(socket, swarm->there, NULL, &error) &&
        !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PENDING)) {
        swarm->refused++;
        return;
    }
    source = g_socket_create_source(socket, G_IO_OUT, NULL);
    g_source_set_callback(source, (GSourceFunc)(void *)on_connected, swarm, NULL);
    g_source_attach(source, NULL);
}

static gboolean
on_tick(gpointer data)
{
    Swarm *swarm = data;

    for (swarm->due += (guint)swarm->connections * TICK; swarm->due >= 1000; swarm->due -= 1000)
        dial(swarm);
    return G_SOURCE_CONTINUE;
}

/* ---- clients ---- */

typedef struct {
    Swarm *swarm;
    gint64 asked;
} Call;

static void
on_answer(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree Call *call = data;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);
    double ms = (double)(g_get_monotonic_time() - call->asked) / 1000;

    if (answer)
        g_array_append_val(call->swarm->latencies, ms);
    else
        call->swarm->failed++;
}

static void
ask(Swarm *swarm, GDBusConnection *bus, gboolean all)
{
    Call *call = g_new0(Call, 1);

    call->swarm = swarm;
    call->asked = g_get_monotonic_time();
    g_dbus_connection_call(bus, "org.vmferry1", "/org/vmferry1",
                           all ? "org.freedesktop.DBus.ObjectManager"
                               : "org.freedesktop.DBus.Properties",
                           all ? "GetManagedObjects" : "GetAll",
                           all ? NULL : g_variant_new("(s)", "org.vmferry1.Manager"), NULL,
                           G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_answer, call);
}

/* One after the other, all of them within CALL_INTERVAL. */
static gboolean
on_turn(gpointer data)
{
    Swarm *swarm = data;
    guint calls = swarm->buses->len * TICK;

    for (guint i = 0; i < MAX(calls / CALL_INTERVAL, 1); i++) {
        guint client = swarm->next_client++;

        ask(swarm, swarm->buses->pdata[client % swarm->buses->len], client < swarm->buses->len);
    }
    return G_SOURCE_CONTINUE;
}

static void
on_signal(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
          const char *name, GVariant *arguments, gpointer data)
{
    ((Swarm *)data)->signals++;
}

static void
add_client(Swarm *swarm)
{
    g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, NULL);
    g_autoptr(GError) error = NULL;
    GDBusConnection *bus =
        g_dbus_connection_new_for_address_sync(address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, &error);

    if (!bus) {
        g_printerr("swarm: %s\n", error->message);
        exit(1);
    }
    g_dbus_connection_signal_subscribe(bus, "org.vmferry1", NULL, NULL, NULL, NULL,
                                       G_DBUS_SIGNAL_FLAGS_NONE, on_signal, swarm, NULL);
    g_ptr_array_add(swarm->buses, bus);
}

/* ---- ---- */

static gint
compare(gconstpointer a, gconstpointer b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return first < second ? -1 : first > second;
}

static void
report(Swarm *swarm)
{
    GArray *latencies = swarm->latencies;
    double median = 0, worst = 0;

    g_array_sort(latencies, compare);
    if (latencies->len > 0) {
        median = g_array_index(latencies, double, latencies->len / 2);
        worst = g_array_index(latencies, double, latencies->len - 1);
    }
    g_print("{\"connections\": %" G_GUINT64_FORMAT ", \"refused\": %" G_GUINT64_FORMAT
            ", \"calls\": %u, \"failed\": %" G_GUINT64_FORMAT ", \"signals\": %" G_GUINT64_FORMAT
            ", \"call_ms_median\": %.1f, \"call_ms_worst\": %.1f}\n",
            swarm->made, swarm->refused, latencies->len, swarm->failed, swarm->signals, median,
            worst);
}

static gboolean
on_over(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static void
run(Swarm *swarm)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);

    for (int i = 0; i < swarm->clients; i++)
        add_client(swarm);
    g_timeout_add(TICK, on_tick, swarm);
    if (swarm->clients > 0)
        g_timeout_add(TICK, on_turn, swarm);
    g_timeout_add_seconds((guint)swarm->seconds, on_over, loop);
    g_main_loop_run(loop);
    report(swarm);
}

int
main(int argc, char **argv)
{
    Swarm swarm = {.seconds = 10, .connections = 1000, .clients = 100};
    const GOptionEntry entries[] = {
        {"seconds", 0, 0, G_OPTION_ARG_INT, &swarm.seconds, "how long", "N"},
        {"connections", 0, 0, G_OPTION_ARG_INT, &swarm.connections, "to the port, per second", "N"},
        {"clients", 0, 0, G_OPTION_ARG_INT, &swarm.clients, "on the bus", "N"},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("HOST PORT");
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 3) {
        g_printerr("swarm: %s; see --help\n", error ? error->message : "expected HOST and PORT");
        return 2;
    }
    swarm.there = g_inet_socket_address_new_from_string(argv[1], (guint)atoi(argv[2]));
    if (!swarm.there) {
        g_printerr("swarm: '%s' is not an IP address\n", argv[1]);
        return 2;
    }
    swarm.latencies = g_array_new(FALSE, FALSE, sizeof(double));
    swarm.buses = g_ptr_array_new_with_free_func(g_object_unref);
    run(&swarm);
    return 0;
}
