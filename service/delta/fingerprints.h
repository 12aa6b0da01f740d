/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fingerprints of what was last sent for every page: 16 bytes each, of XXH3 with a secret drawn
 * for this table, so that nobody can make two pages that are taken for equal. They find pages that
 * were rewritten and are as before, which no cache of contents can hold all of.
 *
 * Memory: 16 bytes a page, taken as pages come, 1024 of them at a time. Threads: one at a time.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "delta/page-key.h"

typedef struct VmfFingerprints VmfFingerprints;

/* Fails only without random numbers. */
VmfFingerprints *vmf_fingerprints_new(size_t page_size, GError **error);
void vmf_fingerprints_free(VmfFingerprints *prints);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfFingerprints, vmf_fingerprints_free)

/* The page is sent now with this content. TRUE: it is what was sent last; nothing need be sent. */
gboolean vmf_fingerprints_put(VmfFingerprints *prints, uint64_t key, const uint8_t *page);

/* The same for a page of zeros, without looking at one. */
gboolean vmf_fingerprints_put_zero(VmfFingerprints *prints, uint64_t key);

/* Whether this is what was sent last, as far as it is known. */
gboolean vmf_fingerprints_match(VmfFingerprints *prints, uint64_t key, const uint8_t *page);

/* It is not known what the destination has there. */
void vmf_fingerprints_forget(VmfFingerprints *prints, uint64_t key);
void vmf_fingerprints_forget_range(VmfFingerprints *prints, uint64_t key, uint64_t count);
void vmf_fingerprints_clear(VmfFingerprints *prints);

/* Fetches the entry of a page that comes soon. */
void vmf_fingerprints_expect(VmfFingerprints *prints, uint64_t key);

/* Bytes it takes. */
uint64_t vmf_fingerprints_size(const VmfFingerprints *prints);
