/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How soon a page will be sent again, from how it was sent before.
 *
 * QEMU sends pages in passes over the guest's memory, in the order of their keys; in each pass a
 * page is either sent or left out. So a page can come again when the scan reaches it, and not
 * before: its wait is the way until there, and a whole pass for each time that it is likely left
 * out then. How likely, tell its last passes, of which each counts a third of the next; for a page
 * of which little is known, how often others came that were cached.
 *
 * Units: passes. Pure; the caller's threads.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "delta/page-key.h"

/* Where the scan is. Several short passes count as one round. */
typedef struct {
    uint64_t position;  /* key of the last page sent */
    uint64_t span;      /* pages of the largest RAM block, as far as they were seen; */
    uint64_t block;     /* which is that */
    uint64_t sends;     /* in this round */
    uint64_t sends_min; /* for a round */
    uint16_t round;     /* from 1 */
    float again;        /* the share of cached pages that come in a pass */
} VmfScan;

/* Of one page; all zeros: it was never sent. */
typedef struct {
    uint32_t slot : 28; /* of the cache, and 1; not used here */
    uint32_t gain : 4;  /* what its deltas saved: 15, everything */
    uint8_t sent;       /* of its last chances, in 32nds */
    uint8_t chances;
    uint16_t round; /* in which it was sent last */
} VmfPageHistory;

void vmf_scan_init(VmfScan *scan);

/* A page is sent. */
void vmf_scan_move(VmfScan *scan, uint64_t key);

/* After vmf_scan_move() for the same page. */
void vmf_page_history_sent(VmfPageHistory *history, const VmfScan *scan);

/* Its delta took `length` of `page_size` bytes; `page_size`: it was sent whole. */
void vmf_page_history_saved(VmfPageHistory *history, size_t length, size_t page_size);

/*
 * Passes until it is sent again, longer for a page whose deltas save little: what waits least is
 * worth most.
 */
float vmf_page_history_wait(const VmfPageHistory *history, const VmfScan *scan, uint64_t key);

/* A cached page was looked at: whether those that could come in this round did. */
void vmf_scan_learn(VmfScan *scan, const VmfPageHistory *history, uint64_t key);
