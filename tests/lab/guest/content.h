/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every page of the guest must hold, and when.
 *
 * The guest's life is a sequence of visits. Visit number n goes to one page, a function of n alone;
 * the version of a page is how often it has been visited, again a function of n alone; and every
 * word of a page follows from the seed, the page's index and its version. Nothing has to be
 * remembered but the seed and the number of visits, and those live in processor registers
 * (counter.c): a page that is old but consistent in itself is found.
 *
 * Pages are counted from the first one of the guest's memory proper; all are 4096 bytes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PAGE_WORDS 1024

typedef enum { FILL_RANDOM, FILL_TEXT, FILL_ZERO } Fill;

typedef enum {
    PATTERN_COUNTER, /* one counter in each page of the set */
    PATTERN_WORDS,   /* 16 words, elsewhere at each visit */
    PATTERN_PAGE,    /* a whole page of new random words */
    PATTERN_HOTCOLD, /* as words; 7 of 8 visits to an eighth of the set */
    PATTERN_PHASES,  /* words or pages, random or text; the set moves on after four rounds, every
                        other phase is slow */
} Pattern;

/* Does not change once the guest is ready. */
typedef struct {
    uint32_t set;    /* pages that are visited (at a time, for PATTERN_PHASES) */
    uint32_t filled; /* pages that have content */
    Fill fill;
    Pattern pattern;
    uint32_t table[PAGE_WORDS]; /* random words; a page is these, changed by its key */
    uint32_t tokens[256];       /* text fill: four letters each */
} Content;

/* The tables. The other members are the caller's. Why they make no sense, or NULL. */
const char *content_init(Content *content);

/* Which page visit number `visit` goes to. */
uint32_t content_visited_page(const Content *content, uint32_t visit);

/* How often `page` has been visited when `visits` have been made. */
uint32_t content_version(const Content *content, uint32_t page, uint32_t visits);

/* In PATTERN_PHASES: whether visit number `visit` is in a slow phase. */
bool content_is_slow(const Content *content, uint32_t visit);

/* What word `word` of `page` must hold. Slow; for the rest and for reports. */
uint32_t content_word(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
                      uint32_t word);

/* Whether all words of `page` at `data` are right. */
bool content_matches(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
                     const uint32_t *data);

/* Writes all words; for the first fill and for repair. */
void content_write_all(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
                       uint32_t *data);

/* Brings a right page from `version` - 1 to `version`. */
void content_write_visit(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
                         uint32_t *data);
