/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two daemons on two buses: whose certificate is taken, and what is said of one that is not. */
#include "fixture.h"

#include <string.h>

static int
set_up(void **state)
{
    *state = vmf_pair_new(NULL);
    return 0;
}

static void
test_names_in_any_case(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusPeer) peer = NULL;

    vmf_host_remove_peer(pair->a, "hostb");
    vmf_host_add_peer(pair->a, "HostB", pair->b->port, NULL);
    vmf_pair_start(pair);
    vmf_host_connect(pair->a, "HOSTB");
    peer = vmf_host_get_peer(pair->a, "hostb");
    assert_string_equal(vmf_bus_peer_get_name(peer), "hostb");
}

static void
test_another_name(void **state)
{
    VmfPair *pair = *state;

    vmf_host_set_certificate(pair->b, VMF_CERTIFICATE_OTHER_NAME);
    vmf_pair_start(pair);
    vmf_host_assert_connect_refused(pair->a, "hostb", "PeerNameMismatch", "hostb");
    /* the other way round it is somebody whom nobody knows */
    vmf_host_assert_connect_refused(pair->b, "hosta", "PeerRefused", "peers.d");
}

static void
test_another_authority(void **state)
{
    VmfPair *pair = *state;

    vmf_host_set_certificate(pair->b, VMF_CERTIFICATE_OTHER_CA);
    vmf_pair_start(pair);
    vmf_host_assert_connect_refused(pair->a, "hostb", "PeerUntrusted", "authority");
    vmf_host_assert_connect_refused(pair->b, "hosta", "PeerUntrusted", "authority");
}

static void
test_expired(void **state)
{
    VmfPair *pair = *state;

    vmf_host_set_certificate(pair->b, VMF_CERTIFICATE_EXPIRED);
    vmf_pair_start(pair);
    vmf_host_assert_connect_refused(pair->a, "hostb", "PeerUntrusted", "has expired");
    /* the other way round it is the expired side that hears that it is not accepted */
    vmf_host_assert_connect_refused(pair->b, "hosta", "PeerUntrusted", "accept");
}

static void
test_self_signed(void **state)
{
    VmfPair *pair = *state;

    vmf_host_set_certificate(pair->b, VMF_CERTIFICATE_SELF_SIGNED);
    vmf_pair_start(pair);
    vmf_host_assert_connect_refused(pair->a, "hostb", "PeerUntrusted",
                                    "not signed by the authority");
    vmf_host_assert_connect_refused(pair->b, "hosta", "PeerUntrusted", "accept");
}

/* Whoever has the list refuses, whether it dials or is dialled. */
static void
test_revoked(void **state)
{
    VmfPair *pair = *state;

    vmf_host_revoke(pair->a, pair->b);
    vmf_pair_start(pair);
    vmf_host_assert_connect_refused(pair->a, "hostb", "PeerUntrusted", "has been revoked");
    vmf_host_assert_connect_refused(pair->b, "hosta", "PeerUntrusted", "accept");
    vmf_host_set_certificate(pair->b, VMF_CERTIFICATE_GOOD); /* another one */
    vmf_host_connect(pair->a, "hostb");
}

/* A link is open: what is revoked then gets no guest, and sends none. */
static void
test_revoked_meanwhile(void **state)
{
    VmfPair *pair = *state;

    vmf_pair_start(pair);
    vmf_host_connect(pair->a, "hostb");
    vmf_host_revoke(pair->a, pair->b);
    vmf_host_assert_migration_fails(pair->a, "PeerUntrusted", "revoked since");
    assert_null(vmf_host_find_migration(pair->b));
}

/* Certificates are read for each connection: a renewed one needs no restart. */
static void
test_a_renewed_certificate(void **state)
{
    VmfPair *pair = *state;

    vmf_host_set_certificate(pair->b, VMF_CERTIFICATE_EXPIRED);
    vmf_pair_start(pair);
    vmf_host_assert_connect_refused(pair->a, "hostb", "PeerUntrusted", "has expired");
    vmf_host_set_certificate(pair->b, VMF_CERTIFICATE_GOOD);
    vmf_host_connect(pair->a, "hostb");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, vmf_pair_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_names_in_any_case), CASE(test_another_name),
        CASE(test_another_authority), CASE(test_expired),
        CASE(test_self_signed),       CASE(test_revoked),
        CASE(test_revoked_meanwhile), CASE(test_a_renewed_certificate),
    };

    return cmocka_run_group_tests_name("bus-certificates", tests, NULL, NULL);
}
