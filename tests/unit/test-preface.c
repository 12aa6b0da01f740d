/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "link/preface.h"

static const VmfPreface sample = {
    .version = VMF_PROTOCOL_VERSION,
    .kind = VMF_LINK_KIND_DATA,
    .ticket = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
};

static void
test_preface_bytes(void **state)
{
    const uint8_t expected[VMF_PREFACE_SIZE] = {'v', 'm', 'f', 'e', 'r', 'r', 'y', '\n', 0,  1, 2,
                                                0,   0,   0,   0,   0,   1,   2,   3,    4,  5, 6,
                                                7,   8,   9,   10,  11,  12,  13,  14,   15, 16};
    uint8_t data[VMF_PREFACE_SIZE];
    g_autoptr(GError) error = NULL;
    VmfPreface back;

    vmf_preface_encode(&sample, data);
    assert_memory_equal(data, expected, sizeof data);
    assert_true(vmf_preface_decode(data, &back, &error));
    assert_null(error);
    assert_int_equal(back.version, 1);
    assert_int_equal(back.kind, VMF_LINK_KIND_DATA);
    assert_memory_equal(back.ticket, sample.ticket, sizeof back.ticket);
}

static void
test_preface_refusals(void **state)
{
    uint8_t data[VMF_PREFACE_SIZE];
    VmfPreface back = {0};

    for (guint i = 0; i < 16; i++) {
        g_autoptr(GError) error = NULL;

        vmf_preface_encode(&sample, data);
        data[i] ^= 0x40;
        if (i == 10) { /* an unknown kind is the daemon's to refuse, by an answer */
            assert_true(vmf_preface_decode(data, &back, &error));
            assert_int_equal(back.kind, 0x42);
            continue;
        }
        assert_false(vmf_preface_decode(data, &back, &error));
        assert_int_equal(error->domain, VMF_ERROR);
        assert_int_equal(error->code,
                         i == 8 || i == 9 ? VMF_ERROR_PROTOCOL_VERSION : VMF_ERROR_PROTOCOL);
        if (i == 8)
            assert_int_equal(back.version, 0x4001);
    }
}

static void
test_answers(void **state)
{
    const struct {
        VmfAnswer answer;
        VmfError code;
    } refusals[] = {
        {VMF_ANSWER_VERSION, VMF_ERROR_PROTOCOL_VERSION},
        {VMF_ANSWER_KIND, VMF_ERROR_PEER_REFUSED},
        {VMF_ANSWER_TICKET, VMF_ERROR_TICKET_REFUSED},
        {VMF_ANSWER_BUSY, VMF_ERROR_LIMIT_REACHED},
        {(VmfAnswer)99, VMF_ERROR_PROTOCOL},
    };
    uint8_t data[VMF_ANSWER_SIZE];
    g_autoptr(GError) wrong = NULL;

    vmf_answer_encode(VMF_ANSWER_OK, data);
    assert_memory_equal(data, "vmferry\n\0\1\0\0\0\0\0\0", sizeof data);
    assert_true(vmf_answer_decode(data, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autoptr(GError) error = NULL;

        vmf_answer_encode(refusals[i].answer, data);
        assert_false(vmf_answer_decode(data, &error));
        assert_int_equal(error->code, refusals[i].code);
    }
    data[0] = 'V';
    assert_false(vmf_answer_decode(data, &wrong));
    assert_int_equal(wrong->code, VMF_ERROR_PROTOCOL);
}

/* The listener's end of an exchange is played by what was put into the socket before. */
static gboolean
exchange(const void *answer, gsize length, GError **error)
{
    int fds[2];
    g_autoptr(GSocket) socket = NULL;
    uint8_t seen[VMF_PREFACE_SIZE], expected[VMF_PREFACE_SIZE];
    gboolean ok;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    socket = g_socket_new_from_fd(fds[0], NULL);
    assert_int_equal(write(fds[1], answer, length), length);
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    ok = vmf_preface_exchange(socket, &sample, NULL, error);
    assert_int_equal(read(fds[1], seen, sizeof seen), sizeof seen);
    vmf_preface_encode(&sample, expected);
    assert_memory_equal(seen, expected, sizeof seen);
    close(fds[1]);
    return ok;
}

static void
test_exchange(void **state)
{
    uint8_t answer[VMF_ANSWER_SIZE];
    g_autoptr(GError) ticket = NULL;
    g_autoptr(GError) cut = NULL;

    vmf_answer_encode(VMF_ANSWER_OK, answer);
    assert_true(exchange(answer, sizeof answer, NULL));
    assert_false(exchange(answer, 7, &cut));
    assert_int_equal(cut->code, VMF_ERROR_PEER_UNREACHABLE);
    vmf_answer_encode(VMF_ANSWER_TICKET, answer);
    assert_false(exchange(answer, sizeof answer, &ticket));
    assert_int_equal(ticket->code, VMF_ERROR_TICKET_REFUSED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preface_bytes),
        cmocka_unit_test(test_preface_refusals),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_exchange),
    };

    return cmocka_run_group_tests_name("preface", tests, NULL, NULL);
}
