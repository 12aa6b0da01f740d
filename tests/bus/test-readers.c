/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many who read all objects at once, of a daemon with many migrations, which are under way to a
 * peer that says nothing. That its main loop is not held up meanwhile is seen by its watchdog.
 */
#include "fixture.h"

#include <string.h>

#define MIGRATIONS 24
#define READERS 12
#define ALL_TYPE "(a{oa{sa{sv}}})"

typedef struct {
    VmfLab *lab;
    VmfHost *host;
    GSocket *silent;
    GPtrArray *migrations; /* VmfBusMigration */
} Fixture;

static void
set_guests(VmfHost *host)
{
    g_autoptr(GString) xml = g_string_new("<node>");

    for (guint i = 0; i < MIGRATIONS; i++)
        g_string_append_printf(xml, VMF_GUEST_XML("g%u", "00000000-0000-4000-8000-%012u"), i,
                               i + 1);
    g_string_append(xml, "</node>");
    vmf_host_set_guests(host, xml->str);
}

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    guint16 port;

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->host = vmf_lab_add_host(fixture->lab, "hosta");
    fixture->silent = vmf_listen(&port);
    fixture->migrations = g_ptr_array_new_with_free_func(g_object_unref);
    vmf_host_add_peer(fixture->host, "silent", port, NULL);
    vmf_host_set(fixture->host, "Limits", "Migrations", G_STRINGIFY(MIGRATIONS));
    set_guests(fixture->host);
    vmf_host_start(fixture->host);
    for (guint i = 0; i < MIGRATIONS; i++) {
        g_autofree char *name = g_strdup_printf("g%u", i);

        g_ptr_array_add(fixture->migrations, vmf_host_migrate(fixture->host, name, "silent"));
    }
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    g_ptr_array_unref(fixture->migrations);
    vmf_host_stop(fixture->host);
    vmf_lab_free(fixture->lab);
    g_object_unref(fixture->silent);
    g_free(fixture);
    return 0;
}

static const char *
path_of(Fixture *fixture, guint i)
{
    return g_dbus_proxy_get_object_path(fixture->migrations->pdata[i]);
}

/* ---- readers ---- */

typedef struct {
    GDBusConnection *bus;
    GVariant *latest; /* what it was answered */
    guint answers;
    gboolean again;
    /* GDBus's thread only, until the connection is closed */
    GHashTable *cancelled; /* paths of which a signal told */
    int older;             /* atomic: answers that knew less than a signal before */
    guint heard;
} Reader;

/* The State that an answer shows, which `all` owns; NULL: no such object. */
static const char *
state_in(GVariant *all, const char *path)
{
    g_autoptr(GVariant) objects = g_variant_get_child_value(all, 0);
    g_autoptr(GVariant) object = g_variant_lookup_value(objects, path, NULL);
    g_autoptr(GVariant) migration =
        object ? g_variant_lookup_value(object, "org.vmferry1.Migration", NULL) : NULL;
    const char *state = NULL;

    if (migration)
        g_variant_lookup(migration, "State", "&s", &state);
    return state;
}

static void
note_signal(Reader *reader, GDBusMessage *message)
{
    g_autoptr(GVariant) changed = g_variant_get_child_value(g_dbus_message_get_body(message), 1);
    const char *state = NULL;

    if (!g_variant_lookup(changed, "State", "&s", &state) || !g_str_equal(state, "cancelled"))
        return;
    g_hash_table_add(reader->cancelled, g_strdup(g_dbus_message_get_path(message)));
    reader->heard++;
}

static void
note_answer(Reader *reader, GVariant *all)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, reader->cancelled);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        if (g_strcmp0(state_in(all, path), "cancelled") != 0)
            g_atomic_int_inc(&reader->older);
}

/* In GDBus's thread: the order in which the bus brought them. */
static GDBusMessage *
hear(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
    GVariant *body = g_dbus_message_get_body(message);

    if (incoming && g_strcmp0(g_dbus_message_get_member(message), "PropertiesChanged") == 0)
        note_signal(data, message);
    else if (incoming && body && g_variant_is_of_type(body, G_VARIANT_TYPE(ALL_TYPE)))
        note_answer(data, body);
    return message;
}

static void read_all(Reader *reader);

static void
on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    Reader *reader = data;
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&reader->latest, g_variant_unref);
    reader->latest = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    if (!reader->latest)
        fail_msg("GetManagedObjects: %s", error->message);
    reader->answers++;
    if (reader->again)
        read_all(reader);
}

static void
read_all(Reader *reader)
{
    g_dbus_connection_call(reader->bus, "org.vmferry1", "/org/vmferry1",
                           "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL,
                           G_VARIANT_TYPE(ALL_TYPE), G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_read,
                           reader);
}

static GDBusConnection *
connect_to(VmfHost *host)
{
    g_autoptr(GError) error = NULL;
    GDBusConnection *bus =
        g_dbus_connection_new_for_address_sync(host->address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, &error);

    if (!bus)
        fail_msg("the bus: %s", error->message);
    return bus;
}

static void
open_readers(VmfHost *host, Reader *readers)
{
    for (guint i = 0; i < READERS; i++) {
        Reader *reader = &readers[i];
        g_autoptr(GVariant) answer = NULL;

        reader->bus = connect_to(host);
        reader->cancelled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_dbus_connection_add_filter(reader->bus, hear, reader, NULL);
        answer = g_dbus_connection_call_sync(
            reader->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
            "AddMatch",
            g_variant_new("(s)", "type='signal',sender='org.vmferry1',member='PropertiesChanged'"),
            NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
        assert_non_null(answer);
    }
}

static void
close_readers(Reader *readers)
{
    for (guint i = 0; i < READERS; i++)
        assert_true(g_dbus_connection_close_sync(readers[i].bus, NULL, NULL));
}

static void
clear_readers(Reader *readers)
{
    for (guint i = 0; i < READERS; i++) {
        Reader *reader = &readers[i];

        g_object_unref(reader->bus);
        g_clear_pointer(&reader->latest, g_variant_unref);
        g_hash_table_unref(reader->cancelled);
    }
}

static gboolean
all_have_read(gpointer readers)
{
    for (guint i = 0; i < READERS; i++)
        if (((Reader *)readers)[i].answers == 0)
            return FALSE;
    return TRUE;
}

/* ---- tests ---- */

static guint
count_migrations(GVariant *all)
{
    g_autoptr(GVariant) objects = g_variant_get_child_value(all, 0);
    GVariantIter iter;
    const char *path;
    GVariant *interfaces;
    guint n = 0;

    g_variant_iter_init(&iter, objects);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &path, &interfaces))
        n += g_str_has_prefix(path, "/org/vmferry1/migration/");
    return n;
}

/* What a look shows of an interface is what it says itself. */
static void
assert_as_it_says(Fixture *fixture, GVariant *all, const char *path, const char *interface)
{
    g_autoptr(GVariant) objects = g_variant_get_child_value(all, 0);
    g_autoptr(GVariant) object = g_variant_lookup_value(objects, path, NULL);
    g_autoptr(GVariant) seen = object ? g_variant_lookup_value(object, interface, NULL) : NULL;
    g_autoptr(GVariant) said = g_dbus_connection_call_sync(
        fixture->host->bus, "org.vmferry1", path, "org.freedesktop.DBus.Properties", "GetAll",
        g_variant_new("(s)", interface), G_VARIANT_TYPE("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, -1,
        NULL, NULL);
    g_autoptr(GVariant) properties = said ? g_variant_get_child_value(said, 0) : NULL;

    assert_non_null(seen);
    assert_non_null(properties);
    assert_true(g_variant_equal(seen, properties));
}

static void
test_all_are_answered_alike(void **state)
{
    Fixture *fixture = *state;
    g_autofree Reader *readers = g_new0(Reader, READERS);

    open_readers(fixture->host, readers);
    for (guint i = 0; i < READERS; i++)
        read_all(&readers[i]);
    vmf_wait_until(all_have_read, readers, "an answer for each");
    assert_int_equal(count_migrations(readers[0].latest), MIGRATIONS);
    for (guint i = 1; i < READERS; i++)
        assert_true(g_variant_equal(readers[i].latest, readers[0].latest));
    for (guint i = 0; i < MIGRATIONS; i++) {
        assert_string_equal(state_in(readers[0].latest, path_of(fixture, i)), "preparing");
        assert_as_it_says(fixture, readers[0].latest, path_of(fixture, i),
                          "org.vmferry1.Migration");
    }
    assert_as_it_says(fixture, readers[0].latest, "/org/vmferry1/peer/silent", "org.vmferry1.Peer");
    close_readers(readers);
    clear_readers(readers);
}

/* What the first who said Hello called but the bus itself. */
typedef struct {
    GMutex lock;
    char *sender;
    gboolean gone;
    GPtrArray *lines;
} Listener;

static GDBusMessage *
overhear(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
    Listener *listener = data;
    const char *sender = g_dbus_message_get_sender(message);
    const char *member = g_dbus_message_get_member(message);
    const char *name = g_dbus_message_get_arg0(message);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&listener->lock);

    if (!incoming)
        return message;
    if (!listener->sender && g_strcmp0(member, "Hello") == 0)
        listener->sender = g_strdup(sender);
    if (g_dbus_message_get_message_type(message) == G_DBUS_MESSAGE_TYPE_METHOD_CALL &&
        g_strcmp0(sender, listener->sender) == 0 &&
        g_strcmp0(g_dbus_message_get_destination(message), "org.freedesktop.DBus") != 0)
        g_ptr_array_add(listener->lines, g_strdup(member));
    else if (listener->sender && g_strcmp0(member, "NameLost") == 0 &&
             g_strcmp0(name, listener->sender) == 0)
        listener->gone = TRUE;
    g_object_unref(message); /* a monitor answers nobody */
    return NULL;
}

static gboolean
is_gone(gpointer data)
{
    Listener *listener = data;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&listener->lock);

    return listener->gone;
}

static void
test_status_asks_once(void **state)
{
    Fixture *fixture = *state;
    const char *const argv[] = {g_getenv("VMFERRY"), "status", NULL};
    g_autoptr(GDBusConnection) monitor = connect_to(fixture->host);
    g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
        monitor, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Monitoring",
        "BecomeMonitor", g_variant_new_parsed("(@as [], uint32 0)"), NULL, G_DBUS_CALL_FLAGS_NONE,
        -1, NULL, NULL);
    Listener listener = {.lines = g_ptr_array_new_with_free_func(g_free)};
    g_autofree char *output = NULL;
    g_autofree char *complaint = NULL;
    g_autofree char *called = NULL;

    assert_non_null(answer);
    g_mutex_init(&listener.lock);
    g_dbus_connection_add_filter(monitor, overhear, &listener, NULL);
    assert_int_equal(vmf_host_run(fixture->host, argv, &output, &complaint), 0);
    assert_non_null(strstr(output, " g23 "));
    vmf_wait_until(is_gone, &listener, "the end of vmferry status");
    assert_true(g_dbus_connection_close_sync(monitor, NULL, NULL));
    g_ptr_array_add(listener.lines, NULL);
    called = g_strjoinv(" ", (char **)listener.lines->pdata);
    assert_string_equal(called, "GetManagedObjects GetAll");
    g_ptr_array_unref(listener.lines);
    g_free(listener.sender);
    g_mutex_clear(&listener.lock);
}

static void
test_no_answer_is_older_than_a_signal(void **state)
{
    Fixture *fixture = *state;
    g_autofree Reader *readers = g_new0(Reader, READERS);

    open_readers(fixture->host, readers);
    for (guint i = 0; i < READERS; i++) {
        readers[i].again = TRUE;
        read_all(&readers[i]);
    }
    for (guint i = 0; i < MIGRATIONS; i++) {
        VmfBusMigration *migration = fixture->migrations->pdata[i];

        assert_true(vmf_bus_migration_call_cancel_sync(migration, NULL, NULL));
        vmf_wait_property(migration, "state", "cancelled");
    }
    for (guint i = 0; i < READERS; i++) {
        readers[i].again = FALSE;
        readers[i].answers = 0;
    }
    vmf_wait_until(all_have_read, readers, "the last answer for each");
    for (guint i = 0; i < READERS; i++)
        for (guint j = 0; j < MIGRATIONS; j++)
            assert_string_equal(state_in(readers[i].latest, path_of(fixture, j)), "cancelled");
    close_readers(readers);
    for (guint i = 0; i < READERS; i++) {
        assert_int_equal(readers[i].heard, MIGRATIONS);
        assert_int_equal(g_atomic_int_get(&readers[i].older), 0);
    }
    clear_readers(readers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_answered_alike),
        cmocka_unit_test(test_status_asks_once),
        cmocka_unit_test(test_no_answer_is_older_than_a_signal),
    };

    return cmocka_run_group_tests_name("bus-readers", tests, set_up, tear_down);
}
