/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The firewall's rule as nftables gets it, who listens, as the kernel tells it, and what speaks. */
#include "cmocka-all.h"

#include <sys/socket.h>
#include <unistd.h>

#include "capture/rule.h"
#include "daemon/first-bytes.h"
#include "daemon/listeners.h"

#define MATCH_MARK                                                                                 \
    "{\"match\":{\"op\":\"!=\",\"left\":{\"meta\":{\"key\":\"mark\"}},\"right\":7761254}}"
#define MATCH_PORTS                                                                                \
    "{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"tcp\",\"field\":\"dport\"}}," \
    "\"right\":{\"range\":[49152,49215]}}}"
#define CHAIN(verb)                                                                                \
    "{\"" verb "\":{\"chain\":{\"family\":\"inet\",\"table\":\"vmferry\",\"name\":\"output\","     \
    "\"type\":\"nat\",\"hook\":\"output\",\"prio\":-100,\"policy\":\"accept\"}}}"
#define RULE(protocol, address)                                                                    \
    "{\"add\":{\"rule\":{\"family\":\"inet\",\"table\":\"vmferry\",\"chain\":\"output\","          \
    "\"expr\":[" MATCH_MARK ",{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":"      \
    "\"" protocol "\",\"field\":\"daddr\"}},\"right\":\"" address "\"}}," MATCH_PORTS              \
    ",{\"redirect\":{\"port\":4711}}]}}}"

static void
test_rule(void **state)
{
    g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_object_unref);
    const VmfCapture what = {addresses, VMF_CAPTURE_PORT_FIRST, VMF_CAPTURE_PORT_LAST, 4711};
    g_autofree char *json = NULL;

    g_ptr_array_add(addresses, g_inet_address_new_from_string("10.9.0.2"));
    g_ptr_array_add(addresses, g_inet_address_new_from_string("fd00::2"));
    json = vmf_capture_to_json(&what);
    assert_string_equal(json, "{\"nftables\":[" CHAIN("add") "," CHAIN("flush") "," RULE(
                                  "ip", "10.9.0.2") "," RULE("ip6", "fd00::2") "]}");
}

static void
test_nobody_to_catch(void **state)
{
    g_autoptr(GPtrArray) addresses = g_ptr_array_new();
    const VmfCapture what = {addresses, 1, 2, 3};
    g_autofree char *json = vmf_capture_to_json(&what);

    assert_string_equal(json, "{\"nftables\":[" CHAIN("add") "," CHAIN("flush") "]}");
}

static const char proc_net_tcp[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n"
    "   0: 0200090A:C000 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
    "16934 1 0000000000000000 100 0 0 10 0\n"
    "   1: 0100007F:C001 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 "
    "16935 1 0000000000000000 100 0 0 10 0\n";

static const char proc_net_tcp6[] =
    "  sl  local_address                         remote_address                        st\n"
    "  12: 00000000000000000000000000000000:C002 00000000000000000000000000000000:0000 0A "
    "00000000:00000000 00:00000000 00000000     0        0 77777 1 0000000000000000 100 0 0 10 0\n"
    "  13: 000000FD000000000000000002000000:C003 00000000000000000000000000000000:0000 0A "
    "00000000:00000000 00:00000000 00000000     0        0 88888 1 0000000000000000 100 0 0 10 0\n";

static void
assert_listener(GPtrArray *listeners, guint i, const char *address, guint16 port, guint64 inode)
{
    const VmfListener *listener = g_ptr_array_index(listeners, i);
    g_autofree char *text = g_inet_address_to_string(listener->address);

    assert_string_equal(text, address);
    assert_int_equal(listener->port, port);
    assert_int_equal(listener->inode, inode);
}

static void
test_listeners(void **state)
{
    g_autoptr(GPtrArray) listeners = vmf_listeners_new();

    vmf_listeners_parse(listeners, proc_net_tcp, VMF_TCP_LISTENS); /* the second is connected */
    vmf_listeners_parse(listeners, proc_net_tcp6, VMF_TCP_LISTENS);
    assert_int_equal(listeners->len, 3);
    assert_listener(listeners, 0, "10.9.0.2", 49152, 16934);
    assert_listener(listeners, 1, "::", 49154, 77777);
    assert_listener(listeners, 2, "fd00::2", 49155, 88888);
}

static void
test_what_is_no_table(void **state)
{
    static const char *const texts[] = {"", "\n\n", "garbage", "   0: 0200090A:C000",
                                        "   0: 02:C000 00000000:0000 0A 0:0 0:0 0 0 0 5 1"};
    g_autoptr(GPtrArray) listeners = vmf_listeners_new();

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        vmf_listeners_parse(listeners, texts[i], VMF_TCP_LISTENS);
    assert_int_equal(listeners->len, 0);
}

static void
test_no_guest_here(void **state)
{
    const VmfPorts range = {1, 65535};
    gboolean disks;

    assert_null(vmf_listener_find_guest(1, &range, &disks));
    assert_null(vmf_listener_find_address("no such guest", FALSE, &range));
    assert_null(vmf_listener_find_address("../../etc/passwd", FALSE, &range));
}

/* ---- first bytes ---- */

typedef struct {
    gboolean done, stream;
    GError *error;
} Verdict;

static void
on_verdict(GObject *source, GAsyncResult *result, gpointer data)
{
    Verdict *verdict = data;

    verdict->stream = vmf_first_bytes_finish(result, &verdict->error);
    verdict->done = TRUE;
}

/* What is said of a connection whose other end says this; NULL: nothing, and `cancel` what waits.
 */
static Verdict
judge_bytes(const char *bytes, gsize length, guint patience, gboolean cancel)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GSocket) socket = NULL;
    Verdict verdict = {0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    socket = g_socket_new_from_fd(fds[0], NULL);
    vmf_first_bytes_wait(socket, patience, cancellable, on_verdict, &verdict);
    assert_int_equal(write(fds[1], bytes, length), length);
    if (cancel)
        g_cancellable_cancel(cancellable);
    while (!verdict.done)
        g_main_context_iteration(NULL, TRUE);
    if (verdict.stream) { /* they stay */
        char seen[4];

        assert_int_equal(read(fds[0], seen, sizeof seen), sizeof seen);
        assert_memory_equal(seen, bytes, sizeof seen);
    }
    close(fds[1]);
    return verdict;
}

static void
test_first_bytes(void **state)
{
    static const char multifd[] = {0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1};
    Verdict cancelled;

    assert_true(judge_bytes("QEVM\0\0\0\3", 8, 60000, FALSE).stream);
    assert_true(judge_bytes(multifd, sizeof multifd, 60000, FALSE).stream);
    assert_false(judge_bytes("\26\3\1\2", 4, 60000, FALSE).stream); /* TLS */
    assert_false(judge_bytes("NBDMAGIC", 8, 60000, FALSE).stream);
    assert_false(judge_bytes("", 0, 20, FALSE).stream);
    cancelled = judge_bytes("", 0, 60000, TRUE);
    assert_true(g_error_matches(cancelled.error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
    g_error_free(cancelled.error);
}

/* Both ends are ours, and we are no guest. */
static void
test_connection_of_no_guest(void **state)
{
    g_autoptr(GSocketAddress) here = g_inet_socket_address_new_from_string("127.0.0.1", 9);
    g_autoptr(GSocketAddress) six = g_inet_socket_address_new_from_string("::1", 9);

    assert_null(vmf_connection_find_guest(here));
    assert_null(vmf_connection_find_guest(six));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_nobody_to_catch),
        cmocka_unit_test(test_listeners),
        cmocka_unit_test(test_what_is_no_table),
        cmocka_unit_test(test_no_guest_here),
        cmocka_unit_test(test_first_bytes),
        cmocka_unit_test(test_connection_of_no_guest),
    };

    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
