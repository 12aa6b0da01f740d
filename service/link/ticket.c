/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/ticket.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "base/error.h"

typedef struct {
    VmfTicket ticket; /* first: its id is the hash table's key */
    gboolean spent;
} VmfTicketEntry;

struct VmfTicketBook {
    GHashTable *entries; /* id -> VmfTicketEntry */
};

static guint
vmf_ticket_hash(gconstpointer key)
{
    guint hash;

    /* ids are random */
    memcpy(&hash, key, sizeof hash);
    return hash;
}

static gboolean
vmf_ticket_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, VMF_TICKET_ID_SIZE) == 0;
}

static void
vmf_ticket_entry_free(gpointer data)
{
    VmfTicketEntry *entry = data;

    gnutls_memset(entry->ticket.secret, 0, sizeof entry->ticket.secret);
    g_free(entry->ticket.migration);
    g_free(entry);
}

VmfTicketBook *
vmf_ticket_book_new(void)
{
    VmfTicketBook *book = g_new0(VmfTicketBook, 1);

    book->entries =
        g_hash_table_new_full(vmf_ticket_hash, vmf_ticket_equal, NULL, vmf_ticket_entry_free);
    return book;
}

void
vmf_ticket_book_free(VmfTicketBook *book)
{
    g_hash_table_unref(book->entries);
    g_free(book);
}

/*
 * Tickets that are over stay for a while, so that who comes late hears why he is refused; their
 * secrets go at once, and they themselves when room is needed.
 */
static void
vmf_ticket_book_tidy(VmfTicketBook *book, gint64 now)
{
    gboolean full = g_hash_table_size(book->entries) >= VMF_TICKETS_MAX;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, book->entries);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VmfTicketEntry *entry = value;

        if (!entry->spent && now < entry->ticket.expires)
            continue;
        if (full)
            g_hash_table_iter_remove(&iter);
        else
            gnutls_memset(entry->ticket.secret, 0, sizeof entry->ticket.secret);
    }
}

static gboolean
vmf_ticket_is_same(gpointer key, gpointer value, gpointer data)
{
    const VmfTicketEntry *entry = value;
    const VmfTicket *same = data;

    return entry->ticket.link == same->link &&
           g_str_equal(entry->ticket.migration, same->migration);
}

const VmfTicket *
vmf_ticket_book_issue(VmfTicketBook *book, const char *migration, guint link, gint64 now,
                      gint64 lifetime, GError **error)
{
    const VmfTicket same = {.migration = (char *)migration, .link = link};
    VmfTicketEntry *entry;

    g_hash_table_foreach_remove(book->entries, vmf_ticket_is_same, (gpointer)&same);
    vmf_ticket_book_tidy(book, now);
    if (g_hash_table_size(book->entries) >= VMF_TICKETS_MAX) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                    "%d data connections are expected already: wait until some of them came",
                    VMF_TICKETS_MAX);
        return NULL;
    }
    entry = g_new0(VmfTicketEntry, 1);
    if (gnutls_rnd(GNUTLS_RND_RANDOM, entry->ticket.id, VMF_TICKET_ID_SIZE) < 0 ||
        gnutls_rnd(GNUTLS_RND_KEY, entry->ticket.secret, VMF_TICKET_SECRET_SIZE) < 0) {
        vmf_ticket_entry_free(entry);
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_FAILED,
                            "the system's random generator failed");
        return NULL;
    }
    entry->ticket.migration = g_strdup(migration);
    entry->ticket.link = link;
    entry->ticket.expires = now + lifetime;
    g_hash_table_insert(book->entries, entry->ticket.id, entry);
    return &entry->ticket;
}

const VmfTicket *
vmf_ticket_book_find(VmfTicketBook *book, const uint8_t id[VMF_TICKET_ID_SIZE], gint64 now,
                     GError **error)
{
    VmfTicketEntry *entry = g_hash_table_lookup(book->entries, id);
    const char *why = !entry                         ? "unknown"
                      : entry->spent                 ? "used already"
                      : now >= entry->ticket.expires ? "expired"
                                                     : NULL;

    if (why) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_TICKET_REFUSED,
                    "a data connection showed a ticket that is %s", why);
        return NULL;
    }
    return &entry->ticket;
}

void
vmf_ticket_book_spend(VmfTicketBook *book, const uint8_t id[VMF_TICKET_ID_SIZE])
{
    VmfTicketEntry *entry = g_hash_table_lookup(book->entries, id);

    if (!entry)
        return;
    entry->spent = TRUE;
    gnutls_memset(entry->ticket.secret, 0, sizeof entry->ticket.secret);
}

static gboolean
vmf_ticket_is_of(gpointer key, gpointer value, gpointer data)
{
    const VmfTicketEntry *entry = value;

    return g_str_equal(entry->ticket.migration, data);
}

void
vmf_ticket_book_revoke(VmfTicketBook *book, const char *migration)
{
    g_hash_table_foreach_remove(book->entries, vmf_ticket_is_of, (gpointer)migration);
}
