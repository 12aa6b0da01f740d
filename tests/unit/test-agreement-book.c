/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "link/agreement-book.h"

/* An agreement about `migration` from `source`; the cache's size makes one offer unlike another. */
static VmfAgreement *
make(const char *migration, const char *source, guint64 memory)
{
    const VmfAgreementTerms terms = {migration, source, "dst", 42};
    g_autoptr(VmfOffer) offer = vmf_offer_new(vmf_features());

    vmf_offer_set_number(offer, VMF_FEATURE_NATIVE_XBZRLE, "memory", memory);
    return vmf_agreement_new(vmf_features(), &terms, offer, offer, NULL);
}

static void
assert_refused(VmfAgreementBook *book, const char *source, const VmfAgreement *agreement,
               gint64 now, const char *why)
{
    g_autoptr(GError) error = NULL;

    assert_null(vmf_agreement_book_take(book, vmf_agreement_get_migration(agreement), source,
                                        vmf_agreement_get_digest(agreement),
                                        VMF_AGREEMENT_DIGEST_SIZE, now, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_AGREEMENT_REFUSED));
    assert_non_null(strstr(error->message, why));
}

static void
assert_taken(VmfAgreementBook *book, VmfAgreement *agreement, gint64 now)
{
    g_autoptr(VmfAgreement) taken = vmf_agreement_book_take(
        book, vmf_agreement_get_migration(agreement), vmf_agreement_get_source(agreement),
        vmf_agreement_get_digest(agreement), VMF_AGREEMENT_DIGEST_SIZE, now, NULL);

    assert_ptr_equal(taken, agreement);
}

static void
test_an_agreement_is_taken_once(void **state)
{
    g_autoptr(VmfAgreementBook) book = vmf_agreement_book_new();
    g_autoptr(VmfAgreement) agreement = make("0123abcd", "src", 1);

    assert_refused(book, "src", agreement, 0, "unknown");
    assert_true(vmf_agreement_book_add(book, agreement, 0, NULL));
    assert_refused(book, "other", agreement, 1, "unknown"); /* and it stays for whom it is */
    assert_taken(book, agreement, 1);
    assert_refused(book, "src", agreement, 1, "used already");
}

static void
test_an_agreement_expires(void **state)
{
    g_autoptr(VmfAgreementBook) book = vmf_agreement_book_new();
    g_autoptr(VmfAgreement) agreement = make("0123abcd", "src", 1);

    assert_true(vmf_agreement_book_add(book, agreement, 5, NULL));
    assert_refused(book, "src", agreement, 5 + VMF_AGREEMENT_LIFETIME, "expired");
    assert_true(vmf_agreement_book_add(book, agreement, 5, NULL));
    assert_taken(book, agreement, 4 + VMF_AGREEMENT_LIFETIME);
}

static void
test_a_changed_offer_is_a_new_talk(void **state)
{
    g_autoptr(VmfAgreementBook) book = vmf_agreement_book_new();
    g_autoptr(VmfAgreement) first = make("0123abcd", "src", 1);
    g_autoptr(VmfAgreement) second = make("0123abcd", "src", 2);
    g_autoptr(GError) error = NULL;

    assert_true(vmf_agreement_book_add(book, first, 0, NULL));
    assert_true(vmf_agreement_book_add(book, second, 0, NULL));
    assert_refused(book, "src", first, 1, "an offer was changed");
    assert_refused(book, "src", second, 1, "unknown"); /* what is asked for wrongly is gone */
    assert_true(vmf_agreement_book_add(book, first, 0, NULL));
    assert_null(vmf_agreement_book_take(book, "0123abcd", "src", NULL, 0, 1, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_AGREEMENT_REFUSED));
}

static void
assert_not_added(VmfAgreementBook *book, VmfAgreement *agreement, gint64 now, VmfError code)
{
    g_autoptr(GError) error = NULL;

    assert_false(vmf_agreement_book_add(book, agreement, now, &error));
    assert_true(g_error_matches(error, VMF_ERROR, (int)code));
}

static void
test_the_book_is_bounded(void **state)
{
    g_autoptr(VmfAgreementBook) book = vmf_agreement_book_new();
    g_autoptr(VmfAgreement) more = make("ffffffff", "src", 1);
    g_autoptr(VmfAgreement) other = make("eeeeeeee", "other", 1);
    g_autoptr(VmfAgreement) same_id = make("00000000", "other", 1);

    for (int i = 0; i < VMF_AGREEMENTS_PER_SOURCE; i++) {
        g_autofree char *id = g_strdup_printf("%08x", i);
        g_autoptr(VmfAgreement) agreement = make(id, "src", 1);

        assert_true(vmf_agreement_book_add(book, agreement, 0, NULL));
        assert_true(vmf_agreement_book_add(book, agreement, 0, NULL)); /* is no more than one */
    }
    assert_not_added(book, more, 1, VMF_ERROR_LIMIT_REACHED);
    assert_not_added(book, same_id, 1, VMF_ERROR_ALREADY_MIGRATING);
    assert_true(vmf_agreement_book_add(book, other, 1, NULL));
    assert_true(vmf_agreement_book_add(book, more, VMF_AGREEMENT_LIFETIME, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_agreement_is_taken_once),
        cmocka_unit_test(test_an_agreement_expires),
        cmocka_unit_test(test_a_changed_offer_is_a_new_talk),
        cmocka_unit_test(test_the_book_is_bounded),
    };

    return cmocka_run_group_tests_name("agreement-book", tests, NULL, NULL);
}
