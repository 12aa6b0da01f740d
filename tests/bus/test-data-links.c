/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data connections that are not as they should be, at a real daemon with a real pump: tickets that
 * are replayed or too old, secrets that are not known, frames that break the protocol.
 */
#include "impostor.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "link/frame.h"
#include "link/wire.h"

#define TICKET_LIFETIME_S 30

typedef struct {
    VmfLab *lab;
    VmfHost *a; /* only its certificates: it is us */
    VmfHost *b; /* the one that is met */
    GDBusConnection *link;
    VmfPrepared prepared;
    VmfBusMigration *migration; /* of `prepared`, on hostb */
    VmfChunkPool *pool;
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->a = vmf_lab_add_host(fixture->lab, "hosta");
    fixture->b = vmf_lab_add_host(fixture->lab, "hostb");
    vmf_host_set_guests(fixture->b, "<node/>");
    vmf_host_add_peer(fixture->b, "hosta", 1, NULL);
    vmf_host_start(fixture->b);
    fixture->link = vmf_impostor_greet(fixture->a, fixture->b);
    vmf_impostor_prepare(fixture->link, &fixture->prepared);
    fixture->migration = vmf_host_wait_migration(fixture->b);
    fixture->pool = vmf_chunk_pool_new();
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    g_dbus_connection_close_sync(fixture->link, NULL, NULL);
    g_object_unref(fixture->link);
    g_object_unref(fixture->migration);
    g_free(fixture->prepared.path);
    vmf_host_stop(fixture->b);
    vmf_lab_free(fixture->lab);
    vmf_chunk_pool_free(fixture->pool);
    g_free(fixture);
    return 0;
}

/* ---- our end of a data connection ---- */

typedef struct {
    VmfWire *wire;
    gboolean secured;
    GError *broken;
    VmfFrameParser parser;
    GError *bye; /* what the other side said last */
    guint acks;
} End;

static void
on_secured(gpointer owner)
{
    ((End *)owner)->secured = TRUE;
}

static void
on_received(gpointer owner, const VmfSlice *bytes)
{
    End *end = owner;
    const uint8_t *data = bytes->data;
    gsize length = bytes->length;
    VmfFrame frame;

    while (vmf_frame_parser_next(&end->parser, &data, &length, &frame, NULL) == VMF_PARSE_FRAME) {
        end->acks += frame.header.type == VMF_FRAME_ACK;
        if (frame.header.type == VMF_FRAME_BYE && !end->bye)
            end->bye = vmf_reason_decode(frame.payload, frame.header.length);
    }
}

static void
on_drained(gpointer owner)
{
}

static void
on_broken(gpointer owner, const GError *error)
{
    ((End *)owner)->broken = g_error_copy(error);
}

static const VmfWireEvents wire_events = {
    .secured = on_secured,
    .received = on_received,
    .drained = on_drained,
    .broken = on_broken,
};

static gboolean
is_secured_or_broken(gpointer data)
{
    const End *end = data;

    return end->secured || end->broken;
}

/* Until the handshake is over, one way or the other. */
static void
end_init(End *end, Fixture *fixture, const uint8_t *secret)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) socket =
        vmf_impostor_dial_data(fixture->b, fixture->prepared.ticket, &error);
    int fd = socket ? dup(g_socket_get_fd(socket)) : -1;

    *end = (End){0};
    if (!socket)
        fail_msg("dialling hostb: %s", error->message);
    end->wire = vmf_wire_new(&(VmfWireSetup){fd, TRUE, TRUE, secret, FALSE}, fixture->pool,
                             &wire_events, end, &error);
    assert_non_null(end->wire);
    vmf_wait_until(is_secured_or_broken, end, "the end of the handshake");
}

static void
end_clear(End *end)
{
    vmf_wire_free(end->wire);
    g_clear_error(&end->broken);
    g_clear_error(&end->bye);
}

/* A frame whose header may say anything about the `size` bytes that follow. */
static void
send_frame(Fixture *fixture, End *end, const VmfFrameHeader *header, const void *payload,
           gsize size)
{
    VmfChunk *chunk = vmf_chunk_new(fixture->pool, VMF_FRAME_HEADER_SIZE + size);

    vmf_frame_header_encode(header, chunk->data);
    if (size > 0)
        memcpy(chunk->data + VMF_FRAME_HEADER_SIZE, payload, size);
    vmf_wire_send(end->wire, (VmfSlice){chunk, chunk->data, VMF_FRAME_HEADER_SIZE + size});
}

/* As far as a source comes: HELLO, and channel 1 is open. */
static void
say_hello(Fixture *fixture, End *end)
{
    const VmfHello hello = {.side = VMF_SIDE_SOURCE, .channels = 8, .credit = VMF_CREDIT_MIN};
    const VmfFrameHeader first = {.type = VMF_FRAME_HELLO, .length = VMF_HELLO_RESUME_SIZE};
    const VmfFrameHeader open = {.type = VMF_FRAME_OPEN, .channel = 1, .length = VMF_OPEN_SIZE};
    uint8_t payload[VMF_HELLO_RESUME_SIZE] = {0};

    vmf_hello_encode(&hello, payload);
    send_frame(fixture, end, &first, payload, VMF_HELLO_RESUME_SIZE);
    vmf_open_encode(VMF_CHANNEL_NBD, payload);
    send_frame(fixture, end, &open, payload, VMF_OPEN_SIZE);
}

static void
send_data(Fixture *fixture, End *end, guint64 offset, guint32 length)
{
    const VmfFrameHeader header = {
        .type = VMF_FRAME_DATA, .channel = 1, .length = length, .sequence = offset};
    g_autofree uint8_t *bytes = g_malloc0(MIN(length, 4096));

    send_frame(fixture, end, &header, bytes, MIN(length, 4096));
}

static gboolean
has_bye(gpointer data)
{
    return ((End *)data)->bye != NULL;
}

/* The other pump says what was wrong, once, and ends the migration with it. */
static void
assert_refused(Fixture *fixture, End *end, const char *words)
{
    vmf_wait_until(has_bye, end, "the other side's BYE");
    assert_true(g_error_matches(end->bye, VMF_ERROR, VMF_ERROR_PROTOCOL));
    assert_non_null(strstr(end->bye->message, words));
    vmf_impostor_assert_answered(fixture->link, "Finish",
                                 "('" VMF_IMPOSTOR_ID "', 'org.vmferry1.Error.Protocol', 'x')");
    vmf_wait_property(fixture->migration, "state", "failed");
    vmf_host_assert_clean(fixture->b);
    vmf_host_assert_logged_once(fixture->b, words);
}

/* ---- frames ---- */

static void
test_an_oversized_frame(void **state)
{
    Fixture *fixture = *state;
    End end;

    end_init(&end, fixture, fixture->prepared.secret);
    assert_true(end.secured);
    say_hello(fixture, &end);
    send_data(fixture, &end, 0, 0x7fffffff);
    assert_refused(fixture, &end, "2147483647");
    end_clear(&end);
}

static void
test_overlapping_frames(void **state)
{
    Fixture *fixture = *state;
    End end;

    end_init(&end, fixture, fixture->prepared.secret);
    say_hello(fixture, &end);
    send_data(fixture, &end, 0, 64);
    send_data(fixture, &end, 32, 64);
    assert_refused(fixture, &end, "an overlap in the bytes of channel 1 at offset 32; expected 64");
    end_clear(&end);
}

static void
test_a_replayed_frame(void **state)
{
    Fixture *fixture = *state;
    End end;

    end_init(&end, fixture, fixture->prepared.secret);
    say_hello(fixture, &end);
    send_data(fixture, &end, 0, 64);
    send_data(fixture, &end, 0, 64);
    assert_refused(fixture, &end, "an overlap in the bytes of channel 1 at offset 0; expected 64");
    end_clear(&end);
}

static void
test_frames_out_of_order(void **state)
{
    Fixture *fixture = *state;
    End end;

    end_init(&end, fixture, fixture->prepared.secret);
    say_hello(fixture, &end);
    send_data(fixture, &end, 128, 64);
    send_data(fixture, &end, 0, 64);
    assert_refused(fixture, &end, "a gap in the bytes of channel 1 at offset 128; expected 0");
    end_clear(&end);
}

/* ---- tickets ---- */

static gboolean
is_spent(gpointer data)
{
    Fixture *fixture = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) socket =
        vmf_impostor_dial_data(fixture->b, fixture->prepared.ticket, &error);

    return !socket && g_error_matches(error, VMF_ERROR, VMF_ERROR_TICKET_REFUSED);
}

/* Who knows the ticket alone burns nothing; who comes when it was used is told so. */
static void
test_a_ticket_without_its_secret(void **state)
{
    Fixture *fixture = *state;
    const uint8_t wrong[VMF_TICKET_SECRET_SIZE] = {1, 2, 3};
    End end;

    for (int i = 0; i < 10; i++) {
        end_init(&end, fixture, wrong);
        assert_false(end.secured);
        /* the others may find the pump still busy with the one before */
        if (i == 0)
            assert_true(g_error_matches(end.broken, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED));
        end_clear(&end);
    }
    end_init(&end, fixture, fixture->prepared.secret);
    while (!end.secured) { /* the pump takes one at a time, and may not be done with the last one */
        end_clear(&end);
        end_init(&end, fixture, fixture->prepared.secret);
    }
    say_hello(fixture, &end);
    vmf_wait_until(is_spent, fixture, "the end of the ticket");
    vmf_host_assert_logged_once(fixture->b, "do not share this migration's secret");
    vmf_host_assert_logged_once(fixture->b, "a ticket that is used already");
    assert_string_equal(vmf_bus_migration_get_state(fixture->migration), "preparing");
    end_clear(&end);
}

static gboolean
set_flag(gpointer flag)
{
    *(gboolean *)flag = TRUE;
    return G_SOURCE_REMOVE;
}

static gboolean
is_set(gpointer flag)
{
    return *(gboolean *)flag;
}

/* Somebody with the ticket who says nothing more is let go of, and the right one gets in; but not
 * for ever. */
static void
test_a_ticket_that_waits(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GSocket) silent = vmf_impostor_dial_data(fixture->b, fixture->prepared.ticket, NULL);
    const gint64 start = g_get_monotonic_time();
    gboolean old = FALSE;
    char byte;

    g_timeout_add_seconds(TICKET_LIFETIME_S + 1, set_flag, &old);
    assert_non_null(silent);
    g_socket_set_timeout(silent, VMF_PATIENCE);
    assert_true(g_socket_receive(silent, &byte, 1, NULL, NULL) <= 0);
    assert_in_range(g_get_monotonic_time() - start, 9 * G_USEC_PER_SEC, 20 * G_USEC_PER_SEC);
    vmf_wait_until(is_set, &old, "the ticket's age");
    assert_true(is_spent(fixture));
    vmf_host_assert_logged_once(fixture->b, "a ticket that is expired");
}

/* ---- no memory ---- */

/* A pump with less address space than it may need. */
static void
limit_pump(VmfHost *host)
{
    g_autofree char *path = vmf_host_path(host, "pump");
    g_autofree char *text = g_strdup_printf("#!/bin/sh\nulimit -v 150000\nexec '%s' \"$@\"\n",
                                            vmf_program("VMFERRY_PUMP"));

    assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
    vmf_host_set(host, "Pump", "Path", path);
}

/* Said before the source does anything about its guest. */
static void
test_no_memory_for_buffers(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *arguments = NULL;
    g_autoptr(GVariant) answer = NULL;
    GError *error = NULL;

#ifdef __SANITIZE_ADDRESS__
    print_message("skipped: AddressSanitizer takes terabytes of address space itself\n");
    skip();
#endif
    vmf_impostor_assert_answered(fixture->link, "Finish",
                                 "('" VMF_IMPOSTOR_ID "', 'org.vmferry1.Error.Cancelled', '')");
    vmf_wait_property(fixture->migration, "state", "cancelled");
    g_dbus_connection_close_sync(fixture->link, NULL, NULL);
    g_clear_object(&fixture->link);
    vmf_host_stop(fixture->b);
    limit_pump(fixture->b);
    vmf_host_start(fixture->b);
    fixture->link = vmf_impostor_greet(fixture->a, fixture->b);
    arguments = vmf_impostor_agreed(fixture->link, "76543210", "hostb");
    answer = vmf_impostor_call(fixture->link, "Prepare", arguments, &error);
    assert_null(answer);
    vmf_assert_error(error, "LimitReached", "no memory for buffers: the pump may need 128 MiB");
    vmf_host_assert_clean(fixture->b);
    vmf_host_assert_logged_once(fixture->b, "no memory for buffers");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_an_oversized_frame),
        CASE(test_overlapping_frames),
        CASE(test_a_replayed_frame),
        CASE(test_frames_out_of_order),
        CASE(test_a_ticket_without_its_secret),
        CASE(test_a_ticket_that_waits),
        CASE(test_no_memory_for_buffers),
    };

    return cmocka_run_group_tests_name("bus-data-links", tests, NULL, NULL);
}
