/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the values of the guest `redis` are: four kinds in equal parts, each like data that is
 * really kept in such a place, of 512 bytes to 16 KiB.
 *
 * A value follows from (seed, key, version). Version 0 is what it is loaded with; every eighth
 * version is new as a whole, those between change a piece of the version before. So what is to be
 * written and what must be there can both be made from three numbers.
 *
 * Nothing here depends on the machine it runs on. Buffers have VALUE_ROOM bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define VALUE_MIN 512
#define VALUE_MAX 16384
#define VALUE_ROOM (VALUE_MAX + 512) /* text is written beyond its end before it is cut */
#define VALUE_WHOLE_EVERY 8

typedef enum { VALUE_TEXT, VALUE_JSON, VALUE_RANDOM, VALUE_MIXED } ValueKind;
#define VALUE_KINDS 4

typedef struct {
    char letters[32];
    uint32_t length;
} Phrase;

typedef struct {
    uint32_t seed;
    Phrase words[256], phrases[256];
} Values;

typedef struct {
    uint32_t offset, length;
} ValuePart;

void values_init(Values *values, uint32_t seed);

/* A number that follows from three, the same everywhere. */
uint32_t values_hash(uint32_t seed, uint32_t a, uint32_t b);

ValueKind values_kind(uint32_t key);

/* The same for all versions. */
uint32_t values_size(const Values *values, uint32_t key);

/* The whole value. */
void values_make(const Values *values, uint32_t key, uint32_t version, uint8_t *value);

/* What distinguishes it from version - 1, written to `piece`. */
ValuePart values_change(const Values *values, uint32_t key, uint32_t version, uint8_t *piece);
