/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/agreement-book.h"

#include <string.h>

#include "base/error.h"

typedef struct {
    VmfAgreement *agreement;
    gint64 expires;
} VmfPending;

struct VmfAgreementBook {
    GHashTable *pending; /* the migration's id -> VmfPending */
};

static void
vmf_pending_free(gpointer data)
{
    VmfPending *pending = data;

    vmf_agreement_unref(pending->agreement);
    g_free(pending);
}

VmfAgreementBook *
vmf_agreement_book_new(void)
{
    VmfAgreementBook *book = g_new0(VmfAgreementBook, 1);

    book->pending = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, vmf_pending_free);
    return book;
}

void
vmf_agreement_book_free(VmfAgreementBook *book)
{
    g_hash_table_unref(book->pending);
    g_free(book);
}

/* Those of `source`, after what is over was thrown away. */
static guint
vmf_agreement_book_tidy(VmfAgreementBook *book, const char *source, gint64 now)
{
    guint count = 0;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, book->pending);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VmfPending *pending = value;

        if (now >= pending->expires)
            g_hash_table_iter_remove(&iter);
        else if (g_str_equal(vmf_agreement_get_source(pending->agreement), source))
            count++;
    }
    return count;
}

gboolean
vmf_agreement_book_add(VmfAgreementBook *book, VmfAgreement *agreement, gint64 now, GError **error)
{
    const char *source = vmf_agreement_get_source(agreement);
    const char *migration = vmf_agreement_get_migration(agreement);
    guint count = vmf_agreement_book_tidy(book, source, now);
    const VmfPending *before = g_hash_table_lookup(book->pending, migration);
    VmfPending *pending;

    if (before && !g_str_equal(vmf_agreement_get_source(before->agreement), source)) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_ALREADY_MIGRATING,
                            "the migration's id is taken");
        return FALSE;
    }
    if (!before && (count >= VMF_AGREEMENTS_PER_SOURCE ||
                    g_hash_table_size(book->pending) >= VMF_AGREEMENTS_MAX)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                    "%u agreements wait for their migration to start already; try again in a "
                    "minute",
                    g_hash_table_size(book->pending));
        return FALSE;
    }
    pending = g_new0(VmfPending, 1);
    pending->agreement = vmf_agreement_ref(agreement);
    pending->expires = now + VMF_AGREEMENT_LIFETIME;
    g_hash_table_replace(book->pending, g_strdup(migration), pending);
    return TRUE;
}

static const char *
vmf_pending_find_problem(const VmfPending *pending, const guint8 *digest, gsize size, gint64 now)
{
    if (now >= pending->expires)
        return "expired";
    if (size != VMF_AGREEMENT_DIGEST_SIZE ||
        memcmp(digest, vmf_agreement_get_digest(pending->agreement), size) != 0)
        return "not the one that was made last: an offer was changed";
    return NULL;
}

VmfAgreement *
vmf_agreement_book_take(VmfAgreementBook *book, const char *migration, const char *source,
                        const guint8 *digest, gsize digest_size, gint64 now, GError **error)
{
    VmfPending *pending = g_hash_table_lookup(book->pending, migration);
    const char *problem = "unknown, or was used already";
    g_autoptr(VmfAgreement) agreement = NULL;

    if (pending && g_str_equal(vmf_agreement_get_source(pending->agreement), source)) {
        problem = vmf_pending_find_problem(pending, digest, digest_size, now);
        agreement = vmf_agreement_ref(pending->agreement);
        g_hash_table_remove(book->pending, migration);
    }
    if (!problem)
        return g_steal_pointer(&agreement);
    g_set_error(error, VMF_ERROR, VMF_ERROR_AGREEMENT_REFUSED,
                "the agreement that the migration refers to is %s; start it again", problem);
    return NULL;
}
