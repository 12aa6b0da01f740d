/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "link/ticket.h"

#define LIFETIME (30 * G_USEC_PER_SEC)

static void
assert_refused(VmfTicketBook *book, const uint8_t *id, gint64 now, const char *why)
{
    g_autoptr(GError) error = NULL;

    assert_null(vmf_ticket_book_find(book, id, now, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_TICKET_REFUSED));
    assert_non_null(strstr(error->message, why));
}

static void
test_a_ticket_is_found_until_it_is_spent(void **state)
{
    g_autoptr(VmfTicketBook) book = vmf_ticket_book_new();
    const VmfTicket *ticket = vmf_ticket_book_issue(book, "m1", 0, 1000, LIFETIME, NULL);
    uint8_t id[VMF_TICKET_ID_SIZE];

    assert_non_null(ticket);
    assert_string_equal(ticket->migration, "m1");
    assert_int_equal(ticket->expires, 1000 + LIFETIME);
    memcpy(id, ticket->id, sizeof id);
    /* looking at it, as a stranger with a seen id makes us do, does not use it up */
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(vmf_ticket_book_find(book, id, 2000, NULL), ticket);
    vmf_ticket_book_spend(book, id);
    assert_refused(book, id, 2000, "used");
    vmf_ticket_book_spend(book, id);
}

static void
test_a_ticket_expires(void **state)
{
    g_autoptr(VmfTicketBook) book = vmf_ticket_book_new();
    const VmfTicket *ticket = vmf_ticket_book_issue(book, "m1", 0, 0, LIFETIME, NULL);
    uint8_t unknown[VMF_TICKET_ID_SIZE] = {0};

    assert_non_null(vmf_ticket_book_find(book, ticket->id, LIFETIME - 1, NULL));
    assert_refused(book, ticket->id, LIFETIME, "expired");
    assert_refused(book, unknown, 0, "unknown");
}

static void
test_revoke_takes_one_migrations_tickets(void **state)
{
    g_autoptr(VmfTicketBook) book = vmf_ticket_book_new();
    const VmfTicket *keep = vmf_ticket_book_issue(book, "m1", 0, 0, LIFETIME, NULL);
    uint8_t gone[2][VMF_TICKET_ID_SIZE];

    for (int i = 0; i < 2; i++)
        memcpy(gone[i], vmf_ticket_book_issue(book, "m2", (guint)i, 0, LIFETIME, NULL)->id,
               sizeof gone[i]);
    vmf_ticket_book_revoke(book, "m2");
    assert_refused(book, gone[0], 1, "unknown");
    assert_refused(book, gone[1], 1, "unknown");
    assert_non_null(vmf_ticket_book_find(book, keep->id, 1, NULL));
}

static void
test_tickets_differ(void **state)
{
    g_autoptr(VmfTicketBook) book = vmf_ticket_book_new();
    const VmfTicket *a = vmf_ticket_book_issue(book, "m", 0, 0, LIFETIME, NULL);
    const VmfTicket *b = vmf_ticket_book_issue(book, "m", 1, 0, LIFETIME, NULL);
    const uint8_t zero[VMF_TICKET_SECRET_SIZE] = {0};

    assert_memory_not_equal(a->id, b->id, sizeof a->id);
    assert_memory_not_equal(a->secret, b->secret, sizeof a->secret);
    assert_memory_not_equal(a->secret, zero, sizeof a->secret);
}

static void
test_one_ticket_for_a_link(void **state)
{
    g_autoptr(VmfTicketBook) book = vmf_ticket_book_new();
    const VmfTicket *ticket = vmf_ticket_book_issue(book, "m1", 1, 0, LIFETIME, NULL);
    const VmfTicket *other = vmf_ticket_book_issue(book, "m1", 2, 0, LIFETIME, NULL);
    uint8_t first[VMF_TICKET_ID_SIZE];

    assert_int_equal(ticket->link, 1);
    memcpy(first, ticket->id, sizeof first);
    ticket = vmf_ticket_book_issue(book, "m1", 1, 0, LIFETIME, NULL);
    assert_refused(book, first, 1, "unknown");
    assert_ptr_equal(vmf_ticket_book_find(book, ticket->id, 1, NULL), ticket);
    assert_ptr_equal(vmf_ticket_book_find(book, other->id, 1, NULL), other);
}

static void
test_the_book_is_bounded(void **state)
{
    g_autoptr(VmfTicketBook) book = vmf_ticket_book_new();
    g_autoptr(GError) error = NULL;
    const VmfTicket *last = NULL;

    for (int i = 0; i < VMF_TICKETS_MAX; i++)
        assert_non_null(last = vmf_ticket_book_issue(book, "m", (guint)i, i, LIFETIME, NULL));
    assert_null(vmf_ticket_book_issue(book, "o", 0, VMF_TICKETS_MAX, LIFETIME, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED));
    /* what is over makes room: one that was spent, then those that expired */
    vmf_ticket_book_spend(book, last->id);
    assert_non_null(vmf_ticket_book_issue(book, "o", 0, VMF_TICKETS_MAX, LIFETIME, NULL));
    assert_null(vmf_ticket_book_issue(book, "o", 1, VMF_TICKETS_MAX, LIFETIME, NULL));
    assert_non_null(vmf_ticket_book_issue(book, "o", 1, LIFETIME + 5, LIFETIME, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_ticket_is_found_until_it_is_spent),
        cmocka_unit_test(test_a_ticket_expires),
        cmocka_unit_test(test_revoke_takes_one_migrations_tickets),
        cmocka_unit_test(test_tickets_differ),
        cmocka_unit_test(test_one_ticket_for_a_link),
        cmocka_unit_test(test_the_book_is_bounded),
    };

    return cmocka_run_group_tests_name("ticket", tests, NULL, NULL);
}
