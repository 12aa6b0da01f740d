/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "link/frame.h"

static const VmfFrameHeader data_header = {
    .type = VMF_FRAME_DATA,
    .flags = VMF_FRAME_FLAG_ACK_NOW,
    .channel = 0x0102,
    .length = 0x00030405,
    .sequence = G_GUINT64_CONSTANT(0x060708090a0b0c0d),
};

static void
test_header_bytes(void **state)
{
    const uint8_t expected[] = {3, 1, 1, 2, 0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
    uint8_t bytes[VMF_FRAME_HEADER_SIZE];
    VmfFrameHeader back;

    vmf_frame_header_encode(&data_header, bytes);
    assert_memory_equal(bytes, expected, sizeof bytes);
    assert_true(vmf_frame_header_decode(bytes, &back, NULL));
    assert_int_equal(back.type, VMF_FRAME_DATA);
    assert_int_equal(back.flags, VMF_FRAME_FLAG_ACK_NOW);
    assert_int_equal(back.channel, 0x0102);
    assert_int_equal(back.length, 0x030405);
    assert_int_equal(back.sequence, data_header.sequence);
}

static void
test_headers_that_are_refused(void **state)
{
    const struct {
        VmfFrameHeader header;
        const char *why;
    } cases[] = {
        {{.type = (VmfFrameType)0}, "unknown type 0"},
        {{.type = (VmfFrameType)11}, "unknown type 11"},
        {{.type = (VmfFrameType)255}, "unknown type 255"},
        {{.type = VMF_FRAME_DATA, .flags = 4, .channel = 1, .length = 1}, "unknown flags"},
        {{.type = VMF_FRAME_END, .flags = 1, .channel = 1}, "unknown flags"},
        {{.type = VMF_FRAME_DATA, .channel = 0, .length = 1}, "wrong channel"},
        {{.type = VMF_FRAME_HELLO, .channel = 1, .length = 24}, "wrong channel"},
        {{.type = VMF_FRAME_OPEN, .channel = 1025, .length = 4}, "too high a channel"},
        {{.type = VMF_FRAME_DATA, .channel = 1, .length = 0}, "too short"},
        {{.type = VMF_FRAME_DATA, .channel = 1, .length = 262145}, "too long"},
        {{.type = VMF_FRAME_DATA, .channel = 1, .length = 0xffffffff}, "too long"},
        {{.type = VMF_FRAME_HELLO, .length = 23}, "too short"},
        {{.type = VMF_FRAME_HELLO, .length = 1025}, "too long"},
        {{.type = VMF_FRAME_OPEN, .channel = 1, .length = 3}, "too short"},
        {{.type = VMF_FRAME_OPEN, .channel = 1, .length = 65}, "too long"},
        {{.type = VMF_FRAME_END, .channel = 1, .length = 1}, "too long"},
        {{.type = VMF_FRAME_RESET, .channel = 1, .length = 1}, "too short"},
        {{.type = VMF_FRAME_RESET, .channel = 1, .length = 513}, "too long"},
        {{.type = VMF_FRAME_ACK, .channel = 1, .length = 15}, "too short"},
        {{.type = VMF_FRAME_ACK, .channel = 1, .length = 17}, "too long"},
        {{.type = VMF_FRAME_PING, .length = 1}, "too long"},
        {{.type = VMF_FRAME_PONG, .length = 1}, "too long"},
        {{.type = VMF_FRAME_BYE, .length = 1}, "too short"},
        {{.type = VMF_FRAME_BYE, .length = 513}, "too long"},
        {{.type = VMF_FRAME_OPEN, .channel = 1, .length = 4, .sequence = 1}, "a sequence"},
        {{.type = VMF_FRAME_DATA, .channel = 1, .length = 1, .sequence = G_MAXUINT64},
         "too high a sequence"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        uint8_t bytes[VMF_FRAME_HEADER_SIZE];
        VmfFrameHeader back;

        vmf_frame_header_encode(&cases[i].header, bytes);
        assert_false(vmf_frame_header_decode(bytes, &back, &error));
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_PROTOCOL));
        if (!strstr(error->message, cases[i].why))
            fail_msg("case %u: \"%s\" does not say \"%s\"", i, error->message, cases[i].why);
        assert_non_null(strstr(error->message, "expected"));
    }
}

static void
test_headers_at_their_limits(void **state)
{
    const VmfFrameHeader headers[] = {
        {.type = VMF_FRAME_DATA, .channel = 1024, .length = 262144, .sequence = G_MAXINT64},
        {.type = VMF_FRAME_HELLO, .length = 1024},
        {.type = VMF_FRAME_OPEN, .channel = 1, .length = 64},
        {.type = VMF_FRAME_END, .channel = 1, .sequence = 5},
        {.type = VMF_FRAME_RESET, .channel = 1, .length = 512},
        {.type = VMF_FRAME_ACK, .channel = 1, .length = 16, .sequence = 5},
        {.type = VMF_FRAME_PING, .sequence = G_MAXUINT64},
        {.type = VMF_FRAME_PONG, .sequence = G_MAXUINT64},
        {.type = VMF_FRAME_BYE, .length = 2},
        {.type = VMF_FRAME_RESUME, .channel = 1, .length = 24, .sequence = 5},
    };

    for (guint i = 0; i < G_N_ELEMENTS(headers); i++) {
        uint8_t bytes[VMF_FRAME_HEADER_SIZE];
        VmfFrameHeader back;

        vmf_frame_header_encode(&headers[i], bytes);
        assert_true(vmf_frame_header_decode(bytes, &back, NULL));
    }
}

static void
test_hello(void **state)
{
    const VmfHello hello = {.side = VMF_SIDE_DESTINATION,
                            .channels = 64,
                            .credit = 1 << 20,
                            .required = 2,
                            .offered = G_GUINT64_CONSTANT(0x8000000000000002)};
    uint8_t bytes[VMF_HELLO_SIZE + 3];
    VmfHello back;

    vmf_hello_encode(&hello, bytes);
    memset(bytes + VMF_HELLO_SIZE, 0xff, 3); /* what a later version adds */
    assert_true(vmf_hello_decode(bytes, sizeof bytes, &back, NULL));
    assert_int_equal(back.side, VMF_SIDE_DESTINATION);
    assert_int_equal(back.channels, 64);
    assert_int_equal(back.credit, 1 << 20);
    assert_int_equal(back.required, hello.required);
    assert_int_equal(back.offered, hello.offered);

    for (guint i = 0; i < 6; i++) {
        const uint8_t wrong[6][2] = {{0, 0}, {0, 3}, {1, 1}, {3, 0}, {5, 0}, {15, 4}};
        g_autoptr(GError) error = NULL;

        vmf_hello_encode(&hello, bytes);
        bytes[wrong[i][0]] = wrong[i][1];
        if (i == 4)
            bytes[6] = 0xff, bytes[7] = 0xff; /* credit 65535 */
        assert_false(vmf_hello_decode(bytes, VMF_HELLO_SIZE, &back, &error));
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_PROTOCOL));
    }
}

static void
test_open_and_kinds(void **state)
{
    const char *names[] = {"qemu", "nbd", "libvirt"};
    uint8_t bytes[VMF_OPEN_SIZE];
    VmfChannelKind kind;

    for (guint i = 0; i < 3; i++) {
        vmf_open_encode((VmfChannelKind)(i + 1), bytes);
        assert_true(vmf_open_decode(bytes, sizeof bytes, &kind, NULL));
        assert_int_equal(kind, i + 1);
        assert_string_equal(vmf_channel_kind_name(kind), names[i]);
        assert_int_equal(vmf_channel_kind_from_name(names[i]), kind);
    }
    assert_int_equal(vmf_channel_kind_from_name("spice"), 0);
    assert_int_equal(vmf_channel_kind_from_name(NULL), 0);
    bytes[0] = 4;
    assert_false(vmf_open_decode(bytes, sizeof bytes, &kind, NULL));
    bytes[0] = 1;
    bytes[2] = 1;
    assert_false(vmf_open_decode(bytes, sizeof bytes, &kind, NULL));
}

static void
test_reasons(void **state)
{
    const VmfError codes[] = {VMF_ERROR_FAILED,        VMF_ERROR_PROTOCOL,
                              VMF_ERROR_PEER_REFUSED,  VMF_ERROR_CANCELLED,
                              VMF_ERROR_TIMED_OUT,     VMF_ERROR_LIMIT_REACHED,
                              VMF_ERROR_NOT_SUPPORTED, VMF_ERROR_LINK_BROKEN};
    uint8_t bytes[2 + VMF_FRAME_REASON_MAX];
    g_autoptr(GError) other = g_error_new_literal(VMF_ERROR, VMF_ERROR_NO_SUCH_PEER, "who?");
    g_autoptr(GError) back = NULL;
    gsize length;

    for (guint i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_autoptr(GError) error = g_error_new(VMF_ERROR, (gint)codes[i], "why %u", i);
        g_autoptr(GError) same = NULL;

        length = vmf_reason_encode(error, bytes);
        assert_int_equal(bytes[0] << 8 | bytes[1], i + 1);
        same = vmf_reason_decode(bytes, length);
        assert_int_equal(same->code, codes[i]);
        assert_string_equal(same->message, error->message);
    }
    assert_int_equal(vmf_reason_encode(NULL, bytes), 2);
    assert_null(vmf_reason_decode(bytes, 2));
    length = vmf_reason_encode(other, bytes);
    back = vmf_reason_decode(bytes, length);
    assert_int_equal(back->code, VMF_ERROR_FAILED);
    assert_string_equal(back->message, "who?");
}

static void
test_reasons_from_strangers(void **state)
{
    const uint8_t bad[] = {0, 99, 'a', '\n', 0x1b, '[', 0xff, 'b'};
    const uint8_t empty[] = {0, 1};
    g_autofree char *longest = g_strnfill(600, 'x');
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) cut = NULL;
    g_autoptr(GError) none = vmf_reason_decode(empty, sizeof empty);
    g_autoptr(GError) wide = NULL;
    uint8_t bytes[2 + VMF_FRAME_REASON_MAX];

    error = vmf_reason_decode(bad, sizeof bad);
    assert_int_equal(error->code, VMF_ERROR_FAILED);
    assert_string_equal(error->message, "a  [\357\277\275b");
    assert_string_not_equal(none->message, "");

    cut = g_error_new_literal(VMF_ERROR, VMF_ERROR_FAILED, longest);
    assert_int_equal(vmf_reason_encode(cut, bytes), 2 + VMF_FRAME_REASON_MAX);
    /* a character that crosses the limit goes whole */
    memcpy(cut->message + VMF_FRAME_REASON_MAX - 1, "\303\244", 2);
    assert_int_equal(vmf_reason_encode(cut, bytes), 2 + VMF_FRAME_REASON_MAX - 1);
}

/* HELLO, OPEN, two DATA, END, as they would come. */
static gsize
make_stream(uint8_t *to)
{
    const VmfHello hello = {.side = VMF_SIDE_SOURCE, .channels = 1, .credit = 1 << 20};
    const VmfFrameHeader headers[] = {
        {.type = VMF_FRAME_HELLO, .length = VMF_HELLO_SIZE},
        {.type = VMF_FRAME_OPEN, .channel = 1, .length = VMF_OPEN_SIZE},
        {.type = VMF_FRAME_DATA, .channel = 1, .length = 1000},
        {.type = VMF_FRAME_DATA, .flags = 1, .channel = 1, .length = 77, .sequence = 1000},
        {.type = VMF_FRAME_END, .channel = 1, .sequence = 1077},
    };
    gsize length = 0;

    for (guint i = 0; i < G_N_ELEMENTS(headers); i++) {
        vmf_frame_header_encode(&headers[i], to + length);
        length += VMF_FRAME_HEADER_SIZE;
        if (i == 0)
            vmf_hello_encode(&hello, to + length);
        else if (i == 1)
            vmf_open_encode(VMF_CHANNEL_QEMU, to + length);
        else
            for (guint j = 0; j < headers[i].length; j++)
                to[length + j] = (uint8_t)((headers[i].sequence + j) * 7);
        length += headers[i].length;
    }
    return length;
}

/* The same frames come out, however the bytes are cut. */
static void
test_parser_takes_any_pieces(void **state)
{
    uint8_t stream[2048];
    gsize total = make_stream(stream);

    for (gsize step = 1; step <= total; step += step < 64 ? 1 : 61) {
        VmfFrameParser parser = {0};
        guint counts[VMF_FRAME_BYE + 1] = {0};
        guint64 offset = 0;
        guint asked = 0;

        for (gsize at = 0; at < total; at += step) {
            const uint8_t *data = stream + at;
            gsize length = MIN(step, total - at);
            VmfFrame frame;

            while (vmf_frame_parser_next(&parser, &data, &length, &frame, NULL) ==
                   VMF_PARSE_FRAME) {
                counts[frame.header.type]++;
                if (frame.header.type != VMF_FRAME_DATA)
                    continue;
                assert_int_equal(frame.header.sequence, offset);
                for (guint i = 0; i < frame.header.length; i++)
                    assert_int_equal(frame.payload[i], (uint8_t)((offset + i) * 7));
                offset += frame.header.length;
                if (frame.header.flags) {
                    assert_int_equal(offset, 1077);
                    asked++;
                }
            }
            assert_int_equal(length, 0);
        }
        assert_int_equal(offset, 1077);
        assert_int_equal(asked, 1);
        assert_int_equal(counts[VMF_FRAME_HELLO], 1);
        assert_int_equal(counts[VMF_FRAME_OPEN], 1);
        assert_int_equal(counts[VMF_FRAME_END], 1);
        assert_true(counts[VMF_FRAME_DATA] >= 2);
    }
}

static void
test_parser_refuses_before_payload(void **state)
{
    const VmfFrameHeader header = {.type = VMF_FRAME_DATA, .channel = 1, .length = 1 << 30};
    uint8_t bytes[VMF_FRAME_HEADER_SIZE];
    const uint8_t *data = bytes;
    gsize length = sizeof bytes;
    VmfFrameParser parser = {0};
    g_autoptr(GError) error = NULL;
    VmfFrame frame;

    vmf_frame_header_encode(&header, bytes);
    assert_int_equal(vmf_frame_parser_next(&parser, &data, &length, &frame, &error),
                     VMF_PARSE_ERROR);
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_PROTOCOL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_bytes),
        cmocka_unit_test(test_headers_that_are_refused),
        cmocka_unit_test(test_headers_at_their_limits),
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_open_and_kinds),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_reasons_from_strangers),
        cmocka_unit_test(test_parser_takes_any_pieces),
        cmocka_unit_test(test_parser_refuses_before_payload),
    };

    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
