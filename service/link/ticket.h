/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tickets: the right to open one data connection to one migration.
 *
 * The listening side's daemon issues a ticket per data connection it expects and sends it over the
 * control link; the dialling side shows the public id in its preface, and the pumps prove the
 * secret (TLS PSK). A ticket is single-use: it is spent when a handshake succeeded, not before, so
 * that an eavesdropper who replays an id can burn nothing. It expires.
 *
 * A VmfTicketBook belongs to one thread (the daemon's main loop). Times are microseconds of
 * g_get_monotonic_time(), passed in. Ids and secrets come from GnuTLS's random generator; secrets
 * are wiped when a ticket goes.
 */
#pragma once

#include "link/preface.h"

#define VMF_TICKET_SECRET_SIZE 32
#define VMF_TICKETS_MAX 1024

typedef struct {
    uint8_t id[VMF_TICKET_ID_SIZE];
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
    char *migration; /* the migration's id */
    guint link;      /* which of its data links */
    gint64 expires;  /* monotonic, µs */
} VmfTicket;

typedef struct VmfTicketBook VmfTicketBook;

VmfTicketBook *vmf_ticket_book_new(void);
void vmf_ticket_book_free(VmfTicketBook *book);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfTicketBook, vmf_ticket_book_free)

/*
 * One for the data link of that number; an earlier one for the same link goes. The ticket belongs
 * to the book. Fails with VMF_ERROR_LIMIT_REACHED.
 */
const VmfTicket *vmf_ticket_book_issue(VmfTicketBook *book, const char *migration, guint link,
                                       gint64 now, gint64 lifetime, GError **error);

/* Fails with VMF_ERROR_TICKET_REFUSED: unknown, spent, or expired, and the message says which. */
const VmfTicket *vmf_ticket_book_find(VmfTicketBook *book, const uint8_t id[VMF_TICKET_ID_SIZE],
                                      gint64 now, GError **error);

/* A handshake with this ticket succeeded. Unknown ids are ignored. */
void vmf_ticket_book_spend(VmfTicketBook *book, const uint8_t id[VMF_TICKET_ID_SIZE]);

/* The migration is over: all its tickets go. */
void vmf_ticket_book_revoke(VmfTicketBook *book, const char *migration);
