/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/page-history.h"

#define ONE 32.0f                /* `sent` and `chances` are in these parts */
#define FORGET 0.3f              /* what a pass weighs, of the next one */
#define ALL (ONE / (1 - FORGET)) /* what `chances` tends to */
#define GAIN_MAX 15u
#define GAIN_FIRST 12u
#define LEARN (1.0f / 32)
#define AGAIN_MIN 0.05f /* no page waits for ever */

void
vmf_scan_init(VmfScan *scan)
{
    *scan = (VmfScan){.round = 1, .again = 0.5f};
}

void
vmf_scan_move(VmfScan *scan, uint64_t key)
{
    uint64_t number = key & ((G_GUINT64_CONSTANT(1) << VMF_PAGE_KEY_BITS) - 1);

    if (key < scan->position && scan->sends >= scan->sends_min) {
        scan->round = scan->round == G_MAXUINT16 ? 1 : scan->round + 1;
        scan->sends = 0;
    }
    if (number >= scan->span) {
        scan->span = number + 1;
        scan->block = key >> VMF_PAGE_KEY_BITS;
    }
    scan->position = key;
    scan->sends++;
}

/* FORGET to the power of `passes`. */
static float
forgotten(guint passes)
{
    float weight = 1;

    for (guint i = 0; i < MIN(passes, 16); i++)
        weight *= FORGET;
    return weight;
}

/* Since the page was sent last, how often did the scan pass it? */
static guint
passes_since(const VmfPageHistory *history, const VmfScan *scan, gboolean is_ahead)
{
    guint rounds = (uint16_t)(scan->round - history->round);

    return rounds > 0 && is_ahead ? rounds - 1 : rounds;
}

void
vmf_page_history_sent(VmfPageHistory *history, const VmfScan *scan)
{
    guint rounds = passes_since(history, scan, FALSE);

    if (history->round == 0) {
        history->gain = GAIN_FIRST;
    } else {
        float weight = FORGET * forgotten(rounds > 0 ? rounds - 1 : 0);

        history->sent = (uint8_t)(history->sent * weight + ONE);
        history->chances = (uint8_t)(ALL - (ALL - history->chances) * weight);
        /* an old verdict on its deltas is given another chance */
        if (history->slot == 0 && history->gain < GAIN_FIRST)
            history->gain++;
    }
    history->round = scan->round;
}

void
vmf_page_history_saved(VmfPageHistory *history, size_t length, size_t page_size)
{
    guint now = (guint)(GAIN_MAX * (page_size - length) / page_size);

    history->gain = (history->gain + now + (now > history->gain)) / 2;
}

/* How likely is it sent when the scan reaches it? */
static float
likelihood(const VmfPageHistory *history, const VmfScan *scan, guint missed)
{
    float weight = forgotten(missed);
    float sent = history->sent * weight, chances = ALL - (ALL - history->chances) * weight;

    return (sent + ONE * scan->again) / (chances + ONE);
}

float
vmf_page_history_wait(const VmfPageHistory *history, const VmfScan *scan, uint64_t key)
{
    guint missed = passes_since(history, scan, key > scan->position);
    float way = 0.5f;

    if (key >> VMF_PAGE_KEY_BITS == scan->block &&
        scan->position >> VMF_PAGE_KEY_BITS == scan->block)
        way = (float)(key > scan->position ? key - scan->position
                                           : key + scan->span - scan->position) /
              (float)scan->span;
    return (way + 1 / likelihood(history, scan, missed) - 1) / (float)(history->gain + 1);
}

void
vmf_scan_learn(VmfScan *scan, const VmfPageHistory *history, uint64_t key)
{
    if (key <= scan->position)
        scan->again += LEARN * ((history->round == scan->round ? 1 : AGAIN_MIN) - scan->again);
}
