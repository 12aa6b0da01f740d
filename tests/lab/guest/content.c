/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "content.h"

/*
 * Words of a page that change over time belong to one of 64 classes; visit v rewrites class
 * v mod 64, one word in each of 16 groups of 64 words.
 */
#define CLASSES 64
#define GROUPS (PAGE_WORDS / CLASSES)

/* Every how many visits one goes to the cold part of the set, and how much of the set is hot. */
#define COLD_EVERY 8
#define HOT_PART 8

#define ROUNDS_PER_PHASE 4

/* In PATTERN_PHASES, the visits of two phases to a page are a turn, and each turn changes it in
 * another way. */
#define VISITS_PER_TURN (2 * ROUNDS_PER_PHASE)
typedef enum { RANDOM_WORDS, TEXT_WORDS, TEXT_PAGE, RANDOM_PAGE, TURNS } Turn;

/* One round of xorshift. */
static uint32_t
random_next(uint32_t x)
{
    x ^= x << 13;
    x ^= x >> 17;
    return x ^ x << 5;
}

const char *
content_init(Content *content)
{
    static const char pairs[16][2] = {"th", "e ", "an", "d ", "in", "er", "re", "on",
                                      "at", "s ", "it", "ou", "t ", ", ", "al", "es"};
    uint32_t x = 0x2545f491;

    for (uint32_t i = 0; i < PAGE_WORDS; i++)
        content->table[i] = x = random_next(x);
    for (uint32_t i = 0; i < 256; i++) {
        const char *a = pairs[i / 16], *b = pairs[i % 16];
        content->tokens[i] = (uint32_t)(uint8_t)a[0] | (uint32_t)(uint8_t)a[1] << 8 |
                             (uint32_t)(uint8_t)b[0] << 16 | (uint32_t)(uint8_t)b[1] << 24;
    }

    if (content->set < 8 || content->set > content->filled || content->pattern > PATTERN_PHASES ||
        content->fill > FILL_ZERO)
        return "options make no sense";
    if (content->pattern == PATTERN_PHASES && content->filled < content->set + content->set / 2)
        return "for phases, fill at least half as much again as the set";
    return 0;
}

/* ---- which page, how often ------------------------------------------------------------------ */

/* How often item `index` of `items` came up when they are taken in turn and `turns` are over. */
static inline uint32_t
turns_of(uint32_t turns, uint32_t items, uint32_t index)
{
    return (turns + items - 1 - index) / items;
}

/* A phase visits a window of two slots; the next window begins one slot further. */
typedef struct {
    uint32_t slot_pages, slots, phase, in_phase;
} Phase;

static Phase
phase_at(const Content *content, uint32_t visits)
{
    uint32_t slot_pages = content->set / 2;
    uint32_t length = ROUNDS_PER_PHASE * 2 * slot_pages;

    return (Phase){slot_pages, content->filled / slot_pages, visits / length, visits % length};
}

bool
content_is_slow(const Content *content, uint32_t visit)
{
    return content->pattern == PATTERN_PHASES && phase_at(content, visit).phase % 2 == 1;
}

uint32_t
content_visited_page(const Content *content, uint32_t visit)
{
    if (content->pattern == PATTERN_HOTCOLD) {
        uint32_t hot = content->set / HOT_PART;

        return visit % COLD_EVERY == COLD_EVERY - 1
                   ? hot + visit / COLD_EVERY % (content->set - hot)
                   : (visit - visit / COLD_EVERY) % hot;
    }
    if (content->pattern == PATTERN_PHASES) {
        Phase at = phase_at(content, visit);
        uint32_t in_window = at.in_phase % (2 * at.slot_pages);
        uint32_t slot = (at.phase + in_window / at.slot_pages) % at.slots;

        return slot * at.slot_pages + in_window % at.slot_pages;
    }
    return visit % content->set;
}

static uint32_t
version_hotcold(const Content *content, uint32_t page, uint32_t visits)
{
    uint32_t hot = content->set / HOT_PART;
    uint32_t cold_visits = visits / COLD_EVERY;

    return page < hot ? turns_of(visits - cold_visits, hot, page)
                      : turns_of(cold_visits, content->set - hot, page - hot);
}

static uint32_t
version_phases(const Content *content, uint32_t page, uint32_t visits)
{
    Phase at = phase_at(content, visits);
    uint32_t slot = page / at.slot_pages, index = page % at.slot_pages;

    if (slot >= at.slots)
        return 0;

    /* the slot is the first half of one phase's window, and the second half of the one before */
    uint32_t before = (slot + at.slots - 1) % at.slots;
    uint32_t version = ROUNDS_PER_PHASE *
                       (turns_of(at.phase, at.slots, slot) + turns_of(at.phase, at.slots, before));
    if (at.phase % at.slots == slot)
        version += turns_of(at.in_phase, 2 * at.slot_pages, index);
    else if (at.phase % at.slots == before)
        version += turns_of(at.in_phase, 2 * at.slot_pages, at.slot_pages + index);
    return version;
}

uint32_t
content_version(const Content *content, uint32_t page, uint32_t visits)
{
    if (content->pattern == PATTERN_PHASES)
        return version_phases(content, page, visits);
    if (page >= content->set)
        return 0;
    if (content->pattern == PATTERN_HOTCOLD)
        return version_hotcold(content, page, visits);
    return turns_of(visits, content->set, page);
}

/* ---- what it holds -------------------------------------------------------------------------- */

/* Which turn visit `version` of a page belongs to; 0 if it is none. */
static Turn
turn_at(const Content *content, uint32_t page, uint32_t version)
{
    uint32_t slot = page / (content->set / 2);

    return (Turn)((slot + (version - 1) / VISITS_PER_TURN) % TURNS);
}

/* The last visit, up to `version`, that wrote the whole page; 0: none did. */
static uint32_t
whole_version(const Content *content, uint32_t page, uint32_t version)
{
    if (content->pattern == PATTERN_PAGE || version == 0)
        return version;
    if (content->pattern != PATTERN_PHASES)
        return 0;
    Turn turn = turn_at(content, page, version);
    uint32_t turns_ago = turn == RANDOM_WORDS ? 1 : turn == TEXT_WORDS ? 2 : 0;
    uint32_t turns = (version - 1) / VISITS_PER_TURN + 1;

    if (turns_ago == 0)
        return version;
    return turns > turns_ago ? (turns - turns_ago) * VISITS_PER_TURN : 0;
}

/* Whether what visit `version` wrote, or the first fill if that is 0, is text. */
static bool
is_text(const Content *content, uint32_t page, uint32_t version)
{
    if (version > 0 && content->pattern == PATTERN_PAGE)
        return false;
    if (version > 0 && content->pattern == PATTERN_PHASES) {
        Turn turn = turn_at(content, page, version);
        return turn == TEXT_WORDS || turn == TEXT_PAGE;
    }
    return content->fill == FILL_TEXT;
}

/* What a page's words of one version are made with; different for any two versions of a page. */
static inline uint32_t
page_key(uint32_t seed, uint32_t page, uint32_t version)
{
    uint32_t x = (seed + page * 0x9e3779b1) ^ version * 0x85ebca77;

    x = (x ^ x >> 15) * 0x2c1b3c6d;
    x = (x ^ x >> 12) * 0x297a2d39;
    return x ^ x >> 15;
}

static inline uint32_t
random_word(const Content *content, uint32_t key, uint32_t word)
{
    return (content->table[word] ^ key) + (key << 11 | key >> 21);
}

static inline uint32_t
text_word(const Content *content, uint32_t key, uint32_t word)
{
    return content->tokens[((content->table[word] ^ key) * 0x9e3779b1) >> 24];
}

/* Which word of group `group` belongs to class 0; the one of class c is c XOR that. */
static inline uint32_t
group_shuffle(uint32_t page, uint32_t group)
{
    return (page * 0x9e3779b1 + group * 0x85ebca6b) >> 26;
}

/* The last visit, up to `version` and not before `whole`, that wrote the words of a class. */
static inline uint32_t
class_version(uint32_t class, uint32_t version, uint32_t whole)
{
    uint32_t since = (version - class) % CLASSES;

    return version - whole >= since ? version - since : whole;
}

static inline uint32_t
counter_place(uint32_t page)
{
    return (page * 0x9e3779b1) >> 22;
}

static inline uint32_t
counter_value(uint32_t seed, uint32_t page, uint32_t version)
{
    return page_key(seed, page, 0) + version;
}

/* A word that visit `version` wrote, or that the first fill did (version 0). */
static uint32_t
word_of_version(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
                uint32_t word)
{
    uint32_t key = page_key(seed, page, version);

    if (version == 0 && content->fill == FILL_ZERO)
        return 0;
    return is_text(content, page, version) ? text_word(content, key, word)
                                           : random_word(content, key, word);
}

uint32_t
content_word(const Content *content, uint32_t seed, uint32_t page, uint32_t version, uint32_t word)
{
    uint32_t whole = whole_version(content, page, version);

    if (content->pattern == PATTERN_COUNTER) {
        if (version > 0 && word == counter_place(page))
            return counter_value(seed, page, version);
        return word_of_version(content, seed, page, 0, word);
    }
    if (whole != version) {
        uint32_t class = word % CLASSES ^ group_shuffle(page, word / CLASSES);

        whole = class_version(class, version, whole);
    }
    return word_of_version(content, seed, page, whole, word);
}

/* The loops over a page differ in what a word must be; `differ` gathers the differences. */
#define COMPARE_WORDS(first, count, expected)                                                      \
    do {                                                                                           \
        _Pragma("GCC unroll 8") for (uint32_t i = 0; i < (count); i++)                             \
        {                                                                                          \
            const uint32_t word = (first) + i;                                                     \
            differ |= data[word] ^ (expected);                                                     \
        }                                                                                          \
    } while (0)

/* `count` words from `first` on are all of one version. */
static uint32_t
compare_version(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
                uint32_t first, uint32_t count, const uint32_t *data)
{
    uint32_t differ = 0, key = page_key(seed, page, version);

    if (version == 0 && content->fill == FILL_ZERO)
        COMPARE_WORDS(first, count, 0);
    else if (is_text(content, page, version))
        COMPARE_WORDS(first, count, text_word(content, key, word));
    else
        COMPARE_WORDS(first, count, random_word(content, key, word));
    return differ;
}

/* What the words of each class are made with. */
typedef struct {
    uint32_t key, random_mask, text_mask; /* no mask: zero */
} Class;

static void
classes_of(const Content *content, uint32_t seed, uint32_t page, uint32_t version, uint32_t whole,
           Class classes[CLASSES])
{
    for (uint32_t i = 0; i < CLASSES; i++) {
        uint32_t written = class_version(i, version, whole);
        bool zero = written == 0 && content->fill == FILL_ZERO;
        bool text = is_text(content, page, written);

        classes[i] =
            (Class){page_key(seed, page, written), zero || text ? 0 : ~0u, zero || !text ? 0 : ~0u};
    }
}

/* Each class of words is of its own version, none older than `whole`. */
static uint32_t
compare_classes(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
                uint32_t whole, const uint32_t *data)
{
    Class classes[CLASSES];
    uint32_t differ = 0;

    classes_of(content, seed, page, version, whole, classes);
    for (uint32_t group = 0; group < GROUPS; group++) {
        uint32_t shuffle = group_shuffle(page, group);
        uint32_t first = group * CLASSES;

#define CLASS classes[i ^ shuffle]
        if (content->pattern == PATTERN_PHASES)
            COMPARE_WORDS(first, CLASSES,
                          (random_word(content, CLASS.key, word) & CLASS.random_mask) |
                              (text_word(content, CLASS.key, word) & CLASS.text_mask));
        else if (content->fill == FILL_TEXT)
            COMPARE_WORDS(first, CLASSES, text_word(content, CLASS.key, word));
        else
            COMPARE_WORDS(first, CLASSES,
                          random_word(content, CLASS.key, word) & CLASS.random_mask);
#undef CLASS
    }
    return differ;
}

bool
content_matches(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
                const uint32_t *data)
{
    uint32_t whole = whole_version(content, page, version), place = counter_place(page);

    if (whole == version)
        return compare_version(content, seed, page, version, 0, PAGE_WORDS, data) == 0;
    if (content->pattern == PATTERN_COUNTER)
        return data[place] == counter_value(seed, page, version) &&
               compare_version(content, seed, page, 0, 0, place, data) == 0 &&
               compare_version(content, seed, page, 0, place + 1, PAGE_WORDS - place - 1, data) ==
                   0;
    return compare_classes(content, seed, page, version, whole, data) == 0;
}

/* All words, of one version. */
static void
write_version(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
              uint32_t *data)
{
    uint32_t key = page_key(seed, page, version);

    if (version == 0 && content->fill == FILL_ZERO)
        for (uint32_t word = 0; word < PAGE_WORDS; word++)
            data[word] = 0;
    else if (is_text(content, page, version))
        for (uint32_t word = 0; word < PAGE_WORDS; word++)
            data[word] = text_word(content, key, word);
    else
        for (uint32_t word = 0; word < PAGE_WORDS; word++)
            data[word] = random_word(content, key, word);
}

void
content_write_all(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
                  uint32_t *data)
{
    /* the first fill has to be fast */
    if (whole_version(content, page, version) == version)
        write_version(content, seed, page, version, data);
    else
        for (uint32_t word = 0; word < PAGE_WORDS; word++)
            data[word] = content_word(content, seed, page, version, word);
}

void
content_write_visit(const Content *content, uint32_t seed, uint32_t page, uint32_t version,
                    uint32_t *data)
{
    if (content->pattern == PATTERN_COUNTER) {
        data[counter_place(page)] = counter_value(seed, page, version);
    } else if (whole_version(content, page, version) == version) {
        write_version(content, seed, page, version, data);
    } else {
        for (uint32_t group = 0; group < GROUPS; group++) {
            uint32_t i = version % CLASSES ^ group_shuffle(page, group);
            uint32_t word = group * CLASSES + i;
            data[word] = word_of_version(content, seed, page, version, word);
        }
    }
}
