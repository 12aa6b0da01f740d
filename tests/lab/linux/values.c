/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "values.h"

#include <stdio.h>
#include <string.h>

#define OCTAVES 5 /* of sizes, from VALUE_MIN on: as many values in each */
#define PIECES 16

/* xorshift32; the state is never 0. */
static inline uint32_t
next(uint32_t *state)
{
    uint32_t x = *state;

    x ^= x << 13;
    x ^= x >> 17;
    return *state = x ^ x << 5;
}

uint32_t
values_hash(uint32_t seed, uint32_t a, uint32_t b)
{
    uint32_t x = (seed + a * 0x9e3779b1) ^ b * 0x85ebca77;

    x = (x ^ x >> 15) * 0x2c1b3c6d;
    x = (x ^ x >> 12) * 0x297a2d39;
    return x ^ x >> 15;
}

/* ---- a vocabulary --------------------------------------------------------------------------- */

static void
phrase_add(Phrase *phrase, const char *text, uint32_t length)
{
    memcpy(phrase->letters + phrase->length, text, length);
    phrase->length += length;
}

static void
word_make(Phrase *word, uint32_t *state)
{
    static const char starts[16][3] = {"b", "c", "d", "f",  "g",  "h",  "l",  "m",
                                       "n", "p", "r", "st", "tr", "ch", "sh", "w"};
    static const char vowels[8][3] = {"a", "e", "i", "o", "u", "ea", "ou", "ai"};
    uint32_t syllables = 1 + next(state) % 3;

    for (uint32_t i = 0; i < syllables; i++) {
        const char *start = starts[next(state) >> 7 & 15], *vowel = vowels[next(state) >> 7 & 7];

        phrase_add(word, start, (uint32_t)strlen(start));
        phrase_add(word, vowel, (uint32_t)strlen(vowel));
    }
    if (next(state) & 64)
        phrase_add(word, "nsrt" + (next(state) >> 9 & 3), 1);
}

/* Words with blanks, up to what a copy of fixed size takes along. */
static void
phrase_make(Phrase *phrase, const Phrase *words, uint32_t *state)
{
    for (;;) {
        const Phrase *word = &words[(next(state) >> 8 & 255)];

        if (phrase->length + word->length + 2 > sizeof phrase->letters)
            return;
        phrase_add(phrase, word->letters, word->length);
        if ((next(state) >> 6 & 15) == 0)
            phrase_add(phrase, ",", 1);
        phrase_add(phrase, " ", 1);
    }
}

void
values_init(Values *values, uint32_t seed)
{
    uint32_t state = 0x2545f491;

    memset(values, 0, sizeof *values);
    values->seed = seed;
    for (uint32_t i = 0; i < 256; i++)
        word_make(&values->words[i], &state);
    for (uint32_t i = 0; i < 256; i++)
        phrase_make(&values->phrases[i], values->words, &state);
}

/* ---- four kinds ----------------------------------------------------------------------------- */

/* All of these write whole phrases, records or words: beyond the end, by less than VALUE_ROOM has.
 */

static uint8_t *
put(uint8_t *to, const Phrase *phrase)
{
    memcpy(to, phrase->letters, sizeof phrase->letters);
    return to + phrase->length;
}

static uint8_t *
put_phrase(uint8_t *to, const Values *values, uint32_t *state)
{
    return put(to, &values->phrases[next(state) >> 8 & 255]);
}

static void
make_text(const Values *values, uint32_t *state, uint8_t *to, uint32_t length)
{
    uint8_t *end = to + length;

    while (to < end) {
        uint32_t words = next(state);

        for (int i = 8; i < 32; i += 8) {
            to = put(to, &values->words[words >> i & 255]);
            *to++ = ' ';
        }
        to = put_phrase(to, values, state);
    }
}

static uint8_t *
put_string(uint8_t *to, const char *text)
{
    size_t length = strlen(text);

    memcpy(to, text, length);
    return to + length;
}

static uint8_t *
put_digits(uint8_t *to, uint32_t number, uint32_t digits)
{
    for (uint32_t i = digits; i-- > 0; number /= 10)
        to[i] = (uint8_t)('0' + number % 10);
    return to + digits;
}

static uint8_t *
put_record(uint8_t *to, const Values *values, uint32_t *state)
{
    const Phrase *words = values->words;
    uint32_t a = next(state), b = next(state), c = next(state);

    to = put_digits(put_string(to, "{\"id\":"), a, 6);
    to = put(put_string(to, ",\"name\":\""), &words[b & 255]);
    to = put(put_string(to, " "), &words[b >> 8 & 255]);
    to = put(put_string(to, "\",\"mail\":\""), &words[b & 255]);
    to = put(put_string(to, "@"), &words[b >> 16 & 15]);
    to = put_digits(put_string(to, ".example\",\"since\":\"20"), b >> 20 & 15, 2);
    to = put_digits(put_string(to, "-"), 1 + (c & 7), 2);
    to = put_digits(put_string(to, "-"), 1 + (c >> 3 & 15), 2);
    to = put_string(to, c & 128 ? "T00:00:00Z\",\"active\":true,\"groups\":[\""
                                : "T00:00:00Z\",\"active\":false,\"groups\":[\"");
    to = put(to, &words[c >> 8 & 15]);
    to = put(put_string(to, "\",\""), &words[c >> 12 & 15]);
    to = put_digits(put_string(to, "\"],\"balance\":"), c >> 16, 3);
    return put_string(to, ".00,\"note\":null}\n");
}

static void
make_json(const Values *values, uint32_t *state, uint8_t *to, uint32_t length)
{
    uint8_t *end = to + length;

    while (to < end)
        to = put_record(to, values, state);
}

static void
make_random(const Values *values, uint32_t *state, uint8_t *to, uint32_t length)
{
    uint64_t a = next(state), b = next(state);
    uint64_t x = a << 32 | b;

    for (uint32_t i = 0; i < length; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(to + i, &x, 8);
    }
}

/* As programs keep it: small numbers in wide fields, a name, a checksum, a remark. */
static uint8_t *
put_struct(uint8_t *to, const Values *values, uint32_t *state)
{
    uint32_t fields[12] = {0x5244, next(state) & 0xffff, 0, next(state) & 0xff};

    for (uint32_t i = 8; i < 12; i++)
        fields[i] = next(state);
    memcpy(to, fields, sizeof fields);
    to += sizeof fields;
    memset(to, 0, 24);
    put(to, &values->words[next(state) >> 8 & 255]);
    return put_phrase(to + 24, values, state);
}

static void
make_mixed(const Values *values, uint32_t *state, uint8_t *to, uint32_t length)
{
    uint8_t *end = to + length;

    while (to < end)
        to = put_struct(to, values, state);
}

/* ---- values --------------------------------------------------------------------------------- */

ValueKind
values_kind(uint32_t key)
{
    return (ValueKind)(key % VALUE_KINDS);
}

uint32_t
values_size(const Values *values, uint32_t key)
{
    uint32_t x = values_hash(values->seed, key, ~0u);
    uint32_t least = VALUE_MIN << x % OCTAVES;

    return least + (x >> 8) % least;
}

static void
make(const Values *values, uint32_t key, uint32_t version, uint8_t *to, uint32_t length)
{
    static void (*const makers[])(const Values *, uint32_t *, uint8_t *, uint32_t) = {
        [VALUE_TEXT] = make_text,
        [VALUE_JSON] = make_json,
        [VALUE_RANDOM] = make_random,
        [VALUE_MIXED] = make_mixed,
    };
    uint32_t state = values_hash(values->seed, key, version) | 1;

    makers[values_kind(key)](values, &state, to, length);
}

static ValuePart
part_of(const Values *values, uint32_t key, uint32_t version)
{
    uint32_t size = values_size(values, key);

    if (version % VALUE_WHOLE_EVERY == 0)
        return (ValuePart){0, size};
    uint32_t piece = values_hash(values->seed, key, version) % PIECES;
    return (ValuePart){piece * (size / PIECES), size / PIECES / 2};
}

ValuePart
values_change(const Values *values, uint32_t key, uint32_t version, uint8_t *piece)
{
    ValuePart part = part_of(values, key, version);

    make(values, key, version, piece, part.length);
    return part;
}

void
values_make(const Values *values, uint32_t key, uint32_t version, uint8_t *value)
{
    uint8_t piece[VALUE_ROOM];
    uint32_t whole = version - version % VALUE_WHOLE_EVERY;

    values_change(values, key, whole, value);
    for (uint32_t v = whole + 1; v <= version; v++) {
        ValuePart part = values_change(values, key, v, piece);
        memcpy(value + part.offset, piece, part.length);
    }
}
