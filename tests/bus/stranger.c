/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stranger.h"

#include <string.h>

GSocket *
vmf_stranger_dial(VmfHost *host)
{
    GSocket *socket =
        g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    g_autoptr(GSocketAddress) address =
        g_inet_socket_address_new_from_string("127.0.0.1", host->port);

    g_socket_set_timeout(socket, VMF_PATIENCE);
    assert_true(g_socket_connect(socket, address, NULL, NULL));
    return socket;
}

void
vmf_stranger_say(GSocket *socket, const void *data, gsize size)
{
    assert_int_equal(g_socket_send(socket, data, size, NULL, NULL), size);
}

gsize
vmf_stranger_hear(GSocket *socket, void *data, gsize size)
{
    gsize length = 0;

    while (length < size) {
        g_autoptr(GError) error = NULL;
        gssize n = g_socket_receive(socket, (char *)data + length, size - length, NULL, &error);

        if (n < 0 && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED))
            fail_msg("hearing an answer: %s", error->message);
        if (n <= 0)
            break;
        length += (gsize)n;
    }
    return length;
}

void
vmf_stranger_assert_hung_up(GSocket *socket)
{
    uint8_t byte;

    assert_int_equal(vmf_stranger_hear(socket, &byte, 1), 0);
}

void
vmf_stranger_assert_answer(GSocket *socket, VmfAnswer status)
{
    uint8_t answer[VMF_ANSWER_SIZE];
    uint8_t expected[VMF_ANSWER_SIZE];

    vmf_answer_encode(status, expected);
    assert_int_equal(vmf_stranger_hear(socket, answer, sizeof answer), sizeof answer);
    assert_memory_equal(answer, expected, sizeof answer);
}

void
vmf_stranger_say_preface(GSocket *socket, VmfLinkKind kind, gsize offset, const char *bytes,
                         gsize count)
{
    const VmfPreface preface = {.version = VMF_PROTOCOL_VERSION, .kind = kind};
    uint8_t data[VMF_PREFACE_SIZE];

    vmf_preface_encode(&preface, data);
    memcpy(data + offset, bytes, count);
    vmf_stranger_say(socket, data, sizeof data);
}
