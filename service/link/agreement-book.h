/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agreements of a destination that no migration was started on yet.
 *
 * Each can be taken once, by the source it was made with, for the migration it is about, with its
 * digest, and before it expires. What is taken, asked for wrongly or too late is gone: the next
 * attempt is a new talk. Bounded, in all and per source.
 *
 * One thread (the daemon's main loop). Times are microseconds of g_get_monotonic_time(), passed in.
 */
#pragma once

#include "link/agreement.h"

#define VMF_AGREEMENTS_MAX 256
#define VMF_AGREEMENTS_PER_SOURCE 64 /* as many migrations as a host takes at once */

typedef struct VmfAgreementBook VmfAgreementBook;

VmfAgreementBook *vmf_agreement_book_new(void);
void vmf_agreement_book_free(VmfAgreementBook *book);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfAgreementBook, vmf_agreement_book_free)

/*
 * One that the same source made for the same migration before is replaced.
 * Errors: LIMIT_REACHED, ALREADY_MIGRATING (the id is another source's).
 */
gboolean vmf_agreement_book_add(VmfAgreementBook *book, VmfAgreement *agreement, gint64 now,
                                GError **error);

/* The caller's. Error: AGREEMENT_REFUSED, saying why. */
VmfAgreement *vmf_agreement_book_take(VmfAgreementBook *book, const char *migration,
                                      const char *source, const guint8 *digest, gsize digest_size,
                                      gint64 now, GError **error);
