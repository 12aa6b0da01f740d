/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two wires on a socketpair, in one main loop. */
#include "cmocka-all.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "link/frame.h"
#include "link/wire.h"

typedef enum { CLEAR, TLS, SUMS, MODES } Mode;

typedef struct {
    VmfWire *wire;
    gboolean secured;
    GByteArray *received;
    GError *error;
} End;

typedef struct {
    VmfChunkPool *pool;
    End ends[2]; /* initiator, listener */
} Pair;

static void
on_secured(gpointer owner)
{
    End *end = owner;

    assert_false(end->secured);
    end->secured = TRUE;
}

static void
on_received(gpointer owner, const VmfSlice *bytes)
{
    End *end = owner;

    assert_true(end->secured);
    g_byte_array_append(end->received, bytes->data, (guint)bytes->length);
}

static void
on_drained(gpointer owner)
{
}

static void
on_broken(gpointer owner, const GError *error)
{
    End *end = owner;

    assert_null(end->error);
    end->error = g_error_copy(error);
}

static const VmfWireEvents events = {on_secured, on_received, on_drained, on_broken};

static const uint8_t secrets[2][VMF_TICKET_SECRET_SIZE] = {{1, 2, 3}, {1, 2, 4}};

/* `mode` and `secret` as each of both would have it. */
static void
pair_init(Pair *pair, const Mode mode[2], const uint8_t *secret[2])
{
    int fds[2];

    memset(pair, 0, sizeof *pair);
    pair->pool = vmf_chunk_pool_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; i < 2; i++) {
        const VmfWireSetup setup = {.fd = fds[i],
                                    .initiator = i == 0,
                                    .encrypt = mode[i] == TLS,
                                    .secret = secret[i],
                                    .sums = mode[i] == SUMS};

        pair->ends[i].received = g_byte_array_new();
        pair->ends[i].wire = vmf_wire_new(&setup, pair->pool, &events, &pair->ends[i], NULL);
        assert_non_null(pair->ends[i].wire);
    }
}

static void
pair_clear(Pair *pair)
{
    for (int i = 0; i < 2; i++) {
        g_clear_pointer(&pair->ends[i].wire, vmf_wire_free);
        g_byte_array_unref(pair->ends[i].received);
        g_clear_error(&pair->ends[i].error);
    }
    assert_int_equal(vmf_chunk_pool_held(pair->pool), 0);
    vmf_chunk_pool_free(pair->pool);
}

static gboolean
on_timeout(gpointer data)
{
    *(gboolean *)data = TRUE;
    return G_SOURCE_REMOVE;
}

/* Runs the loop until the condition holds; fails after 10 s. */
#define run_until(condition)                                                                       \
    do {                                                                                           \
        gboolean late = FALSE;                                                                     \
        guint timer = g_timeout_add_seconds(10, on_timeout, &late);                                \
                                                                                                   \
        while (!(condition) && !late)                                                              \
            g_main_context_iteration(NULL, TRUE);                                                  \
        assert_false(late);                                                                        \
        g_source_remove(timer);                                                                    \
    } while (0)

static VmfSlice
make_slice(Pair *pair, gsize length, guint seed)
{
    VmfChunk *chunk = vmf_chunk_new(pair->pool, length);

    for (gsize i = 0; i < length; i++)
        chunk->data[i] = (uint8_t)(i * 13 + i / 256 + seed);
    return (VmfSlice){chunk, chunk->data, length};
}

/* Returns what was sent: frames of many sizes, up to the largest and more than a socket takes. */
static GByteArray *
send_many(Pair *pair, End *end)
{
    const gsize sizes[] = {1, 16384, 16385, 262144, 100, 262144, 65536, 3, 262144, 262144};
    GByteArray *sent = g_byte_array_new();

    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        VmfSlice slice = make_slice(pair, sizes[i], i);

        g_byte_array_append(sent, slice.data, (guint)slice.length);
        vmf_wire_send(end->wire, slice);
    }
    return sent;
}

static void
both_ways(Mode mode)
{
    Pair pair;
    g_autoptr(GByteArray) there = NULL;
    g_autoptr(GByteArray) back = NULL;

    pair_init(&pair, (Mode[]){mode, mode}, (const uint8_t *[]){secrets[0], secrets[0]});
    run_until(pair.ends[0].secured && pair.ends[1].secured);
    there = send_many(&pair, &pair.ends[0]);
    back = send_many(&pair, &pair.ends[1]);
    assert_true(vmf_wire_waiting(pair.ends[0].wire) > 0);
    run_until(pair.ends[0].received->len == back->len && pair.ends[1].received->len == there->len);
    assert_memory_equal(pair.ends[0].received->data, back->data, back->len);
    assert_memory_equal(pair.ends[1].received->data, there->data, there->len);
    assert_int_equal(vmf_wire_waiting(pair.ends[0].wire), 0);
    assert_int_equal(vmf_wire_bytes_out(pair.ends[0].wire), vmf_wire_bytes_in(pair.ends[1].wire));
    assert_true(vmf_wire_bytes_out(pair.ends[0].wire) > there->len);
    /* full records: TLS adds 22 bytes to each, and the handshake */
    assert_true(vmf_wire_bytes_out(pair.ends[0].wire) < there->len + there->len / 500 + 1000);

    vmf_wire_send(pair.ends[0].wire, make_slice(&pair, 5, 0));
    vmf_wire_finish(pair.ends[0].wire);
    run_until(pair.ends[1].error);
    assert_int_equal(pair.ends[1].received->len, there->len + 5);
    assert_true(g_error_matches(pair.ends[1].error, VMF_ERROR, VMF_ERROR_LINK_BROKEN));
    assert_null(pair.ends[0].error);
    pair_clear(&pair);
}

static void
test_tls(void **state)
{
    both_ways(TLS);
}

static void
test_clear(void **state)
{
    both_ways(CLEAR);
}

static void
test_sums(void **state)
{
    both_ways(SUMS);
}

static void
refused(Mode mode)
{
    Pair pair;

    pair_init(&pair, (Mode[]){mode, mode}, (const uint8_t *[]){secrets[0], secrets[1]});
    run_until(pair.ends[0].error && pair.ends[1].error);
    for (int i = 0; i < 2; i++) {
        assert_true(g_error_matches(pair.ends[i].error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED));
        assert_false(pair.ends[i].secured);
        assert_int_equal(pair.ends[i].received->len, 0);
    }
    pair_clear(&pair);
}

static void
test_tls_wrong_secret(void **state)
{
    refused(TLS);
}

static void
test_clear_wrong_secret(void **state)
{
    refused(CLEAR);
}

/* Whoever was told to encrypt does not talk in the clear, whatever the other side does. */
static void
test_modes_do_not_mix(void **state)
{
    for (int i = 0; i < 2; i++) {
        Pair pair;

        pair_init(&pair, (Mode[]){i == 0 ? TLS : CLEAR, i == 0 ? CLEAR : TLS},
                  (const uint8_t *[]){secrets[0], secrets[0]});
        /* random bytes may look like the beginning of a long record; so say that no more come */
        vmf_wire_finish(pair.ends[0].wire);
        run_until(pair.ends[1].error);
        assert_false(pair.ends[0].secured);
        assert_false(pair.ends[1].secured);
        pair_clear(&pair);
    }
}

static void
test_nothing_is_sent_before_the_proof(void **state)
{
    Pair pair;

    pair_init(&pair, (Mode[]){TLS, TLS}, (const uint8_t *[]){secrets[0], secrets[0]});
    vmf_wire_send(pair.ends[1].wire, make_slice(&pair, 100, 0));
    assert_int_equal(vmf_wire_waiting(pair.ends[1].wire), 0);
    run_until(pair.ends[0].secured && pair.ends[1].secured);
    assert_int_equal(pair.ends[0].received->len, 0);
    pair_clear(&pair);
}

static void
test_garbage_instead_of_a_handshake(void **state)
{
    for (int encrypt = 0; encrypt < 2; encrypt++) {
        End end = {.received = g_byte_array_new()};
        VmfChunkPool *pool = vmf_chunk_pool_new();
        uint8_t garbage[1024];
        int fds[2];

        memset(garbage, 0x5a, sizeof garbage);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        end.wire = vmf_wire_new(&(VmfWireSetup){fds[0], FALSE, encrypt, secrets[0], FALSE}, pool,
                                &events, &end, NULL);
        assert_int_equal(write(fds[1], garbage, sizeof garbage), sizeof garbage);
        run_until(end.error);
        assert_true(g_error_matches(end.error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED));
        assert_false(end.secured);
        vmf_wire_free(end.wire);
        close(fds[1]);
        g_error_free(end.error);
        g_byte_array_unref(end.received);
        vmf_chunk_pool_free(pool);
    }
}

/* A greeting that is well-formed and does not end: five records of one of 128 KiB. */
static void
test_an_endless_handshake(void **state)
{
    End end = {.received = g_byte_array_new()};
    VmfChunkPool *pool = vmf_chunk_pool_new();
    uint8_t record[5 + 16384] = {0x16, 3, 3, 0x40, 0, 1, 1, 0xff, 0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    end.wire = vmf_wire_new(&(VmfWireSetup){fds[0], FALSE, TRUE, secrets[0], FALSE}, pool, &events,
                            &end, NULL);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(write(fds[1], record, sizeof record), sizeof record);
        memset(record + 5, 0, 4);
    }
    run_until(end.error);
    assert_true(g_error_matches(end.error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED));
    assert_non_null(strstr(end.error->message, "65536 bytes and no proof"));
    assert_int_equal(vmf_wire_bytes_in(end.wire), 65536);
    vmf_wire_free(end.wire);
    close(fds[1]);
    g_error_free(end.error);
    g_byte_array_unref(end.received);
    vmf_chunk_pool_free(pool);
}

/* An urgent frame passes what waits, but not the inside of the frame that has begun. */
static void
urgent_order(Mode mode)
{
    Pair pair;
    gsize large = VMF_FRAME_PAYLOAD_MAX, position = 0;
    VmfSlice urgent;

    pair_init(&pair, (Mode[]){mode, mode}, (const uint8_t *[]){secrets[0], secrets[0]});
    run_until(pair.ends[0].secured && pair.ends[1].secured);
    for (guint i = 0; i < 8; i++)
        vmf_wire_send(pair.ends[0].wire, make_slice(&pair, large, 0));
    urgent = make_slice(&pair, 8, 0);
    memcpy(urgent.data, "urgent!!", 8);
    vmf_wire_send_urgent(pair.ends[0].wire, urgent);
    run_until(pair.ends[1].received->len == 8 * large + 8);
    while (memcmp(pair.ends[1].received->data + position, "urgent!!", 8) != 0) {
        position += large;
        assert_true(position <= 8 * large);
    }
    assert_true(position > 0 && position < 8 * large);
    pair_clear(&pair);
}

static void
test_urgent_frames(void **state)
{
    for (Mode mode = CLEAR; mode < MODES; mode++)
        urgent_order(mode);
}

typedef enum { WHOLE, CHANGED, CUT, GONE } Damage;

/* Carries bytes between two ends of sockets; what comes from `left` is damaged. */
static void
relay(int left, int right, Damage *damage)
{
    uint8_t buffer[65536];
    ssize_t n = read(left, buffer, sizeof buffer);

    if (n > 0 && *damage == CHANGED)
        buffer[n / 2] ^= 1;
    if (n > 0 && *damage == CUT)
        n /= 2;
    if (n > 0 && *damage != GONE)
        assert_int_equal(write(right, buffer, (size_t)n), n);
    if (n > 0 && *damage == CUT) { /* and no close_notify */
        shutdown(right, SHUT_WR);
        *damage = GONE;
    }
    n = read(right, buffer, sizeof buffer);
    if (n > 0)
        assert_int_equal(write(left, buffer, (size_t)n), n);
}

/* What was damaged on the way is not taken, not even in part; what came before it was. */
static void
finds_damage(Mode mode, Damage how)
{
    Pair pair = {.pool = vmf_chunk_pool_new()};
    const int pairs = 2;
    int fds[2][2];
    gboolean sent = FALSE;
    Damage damage = WHOLE;

    for (int i = 0; i < pairs; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]), 0);
        pair.ends[i].received = g_byte_array_new();
        pair.ends[i].wire =
            vmf_wire_new(&(VmfWireSetup){fds[i][0], i == 0, mode == TLS, secrets[0], mode == SUMS},
                         pair.pool, &events, &pair.ends[i], NULL);
    }
    while (!pair.ends[1].error) {
        relay(fds[0][1], fds[1][1], &damage);
        g_main_context_iteration(NULL, FALSE);
        if (damage == WHOLE && pair.ends[1].received->len == 500)
            damage = how;
        if (pair.ends[0].secured && pair.ends[1].secured && !sent)
            vmf_wire_send(pair.ends[0].wire, make_slice(&pair, 500, 0));
        else if (damage != WHOLE)
            vmf_wire_send(pair.ends[0].wire, make_slice(&pair, 1000, 0));
        sent = pair.ends[0].secured && pair.ends[1].secured;
    }
    assert_true(g_error_matches(pair.ends[1].error, VMF_ERROR, VMF_ERROR_LINK_BROKEN));
    assert_int_equal(pair.ends[1].received->len, 500);
    for (int i = 0; i < pairs; i++)
        close(fds[i][1]);
    pair_clear(&pair);
}

static void
test_tls_finds_a_change(void **state)
{
    finds_damage(TLS, CHANGED);
}

static void
test_sums_find_a_change(void **state)
{
    finds_damage(SUMS, CHANGED);
}

/* An end in the middle of a record is a broken link, and never the end of what was sent. */
static void
test_an_end_in_the_middle(void **state)
{
    finds_damage(TLS, CUT);
    finds_damage(SUMS, CUT);
}

/* What the other side said before it hung up is read, though our own writing fails first. */
static void
test_last_words_are_read(void **state)
{
    Pair pair;

    pair_init(&pair, (Mode[]){CLEAR, CLEAR}, (const uint8_t *[]){secrets[0], secrets[0]});
    run_until(pair.ends[0].secured && pair.ends[1].secured);
    vmf_wire_send(pair.ends[1].wire, make_slice(&pair, 100, 0));
    g_clear_pointer(&pair.ends[1].wire, vmf_wire_free);
    vmf_wire_send(pair.ends[0].wire, make_slice(&pair, 100, 0));
    run_until(pair.ends[0].error);
    assert_int_equal(pair.ends[0].received->len, 100);
    assert_true(g_error_matches(pair.ends[0].error, VMF_ERROR, VMF_ERROR_LINK_BROKEN));
    pair_clear(&pair);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_tls_wrong_secret),
        cmocka_unit_test(test_clear_wrong_secret),
        cmocka_unit_test(test_modes_do_not_mix),
        cmocka_unit_test(test_nothing_is_sent_before_the_proof),
        cmocka_unit_test(test_garbage_instead_of_a_handshake),
        cmocka_unit_test(test_an_endless_handshake),
        cmocka_unit_test(test_urgent_frames),
        cmocka_unit_test(test_tls_finds_a_change),
        cmocka_unit_test(test_sums_find_a_change),
        cmocka_unit_test(test_an_end_in_the_middle),
        cmocka_unit_test(test_last_words_are_read),
    };

    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
