/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client that changes what Redis keeps, and knows what it must keep: of each value its version,
 * from which all of it follows (values.h), and of each counter what it has counted.
 *
 * All it asks is asked in groups, answered in order. Every answer is verified: what was read
 * against what it must be, of a counter what it has come to. At the end of each sweep the versions
 * must add up to the changes made, so that an old page of the client's own record is found too.
 */
#include "link.h"
#include "values.h"
#include "workload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUES_PER_COUNTER 8
#define GROUP 32 /* of changes, and of items to verify; any will fit in the link's buffers */

/* Of ten commands, these many; the others change a value. */
#define READS 4
#define INCREMENTS 2

/* Four of five commands go to every fifth value. */
#define HOT 5

/* Redis needs this much beside what is kept, and the kernel and this program so
 * many pages. */
#define ROOM(bytes) ((bytes) + (bytes) / 4 + (16 << 20))
#define OTHER_PAGES (16 << 8)

#define NONE UINT32_MAX

typedef enum { READ, CHANGE, INCREMENT } Action;

/* A command that was asked, and the version that it leaves or must find. */
typedef struct {
    Action action;
    uint32_t item, version;
} Asked;

/* Items are values first, then counters. */
typedef struct {
    Status *status;
    Link *link;
    Values values;
    uint32_t value_count, item_count;
    uint32_t *versions;
    uint32_t changes, sweep_item;
    uint32_t repair; /* an item that was found wrong and must be written anew, or NONE */
    Asked asked[2 * GROUP + 1];
    unsigned asked_count;
    uint8_t want[VALUE_ROOM];
} Client;

/* ---- asking --------------------------------------------------------------------------------- */

static void
ask_item(Client *client, uint32_t item)
{
    static const char *const names[VALUE_KINDS] = {[VALUE_TEXT] = "article",
                                                   [VALUE_JSON] = "users",
                                                   [VALUE_RANDOM] = "image",
                                                   [VALUE_MIXED] = "state"};

    if (item < client->value_count)
        link_text(client->link, "%s:%u", names[values_kind(item)], item);
    else
        link_text(client->link, "hits:%u", item);
}

static void
ask_change(Client *client, uint32_t item, uint32_t version)
{
    ValuePart part = values_change(&client->values, item, version, client->want);
    bool whole = part.length == values_size(&client->values, item);

    link_words(client->link, whole ? 3 : 4);
    link_text(client->link, whole ? "SET" : "SETRANGE");
    ask_item(client, item);
    if (!whole)
        link_text(client->link, "%u", part.offset);
    link_data(client->link, client->want, part.length);
}

static void
ask(Client *client, Action action, uint32_t item)
{
    uint32_t *version = &client->versions[item];

    if (action != READ) {
        ++*version;
        client->changes++;
    }
    if (action == CHANGE) {
        ask_change(client, item, *version);
    } else {
        link_words(client->link, 2);
        link_text(client->link, action == READ ? "GET" : "INCR");
        ask_item(client, item);
    }
    client->asked[client->asked_count++] = (Asked){action, item, *version};
}

/* ---- verifying ------------------------------------------------------------------------------ */

static uint32_t
word_at(const uint8_t *data, uint32_t offset, uint32_t size)
{
    uint32_t word = 0;

    memcpy(&word, data + offset, size - offset < 4 ? size - offset : 4);
    return word;
}

/* Where two values differ first, or `size`. Without KVM this is faster than memcmp(). */
static uint32_t
differ_at(const uint8_t *a, const uint8_t *b, uint32_t size)
{
    uint32_t at = 0;

    for (; at + 8 <= size; at += 8) {
        uint64_t x, y;

        memcpy(&x, a + at, 8);
        memcpy(&y, b + at, 8);
        if (x != y)
            break;
    }
    while (at < size && a[at] == b[at])
        at++;
    return at;
}

static void
report(Client *client, const Asked *asked, uint32_t offset, uint32_t have, uint32_t want)
{
    say("E value=%x offset=%x have=%x want=%x version=%x visits=%x", asked->item, offset, have,
        want, asked->version, client->status->visits);
    client->status->errors++;
}

static void
verify_value(Client *client, const Asked *asked, const Answer *answer)
{
    uint32_t size = values_size(&client->values, asked->item), offset = 0;

    if (answer->type != '$' || answer->number != size) {
        report(client, asked, 0, (uint32_t)answer->number, size);
    } else {
        values_make(&client->values, asked->item, asked->version, client->want);
        offset = differ_at(client->want, answer->data, size);
        if (offset == size)
            return;
        report(client, asked, offset, word_at(answer->data, offset, size),
               word_at(client->want, offset, size));
    }
    client->repair = asked->item;
}

/* What a counter has come to: as a number, or as the text that GET brings. */
static void
verify_counter(Client *client, const Asked *asked, const Answer *answer)
{
    int64_t have = answer->number;
    char text[24] = "";

    if (answer->type == '$' && answer->number < (int64_t)sizeof text) {
        if (answer->number > 0)
            memcpy(text, answer->data, (size_t)answer->number);
        have = strtoll(text, NULL, 10);
    }
    if (have == asked->version)
        return;
    report(client, asked, 0, (uint32_t)have, asked->version);
    client->changes += (uint32_t)have - client->versions[asked->item];
    client->versions[asked->item] = (uint32_t)have;
}

static void
verify(Client *client, const Asked *asked)
{
    Answer answer = link_answer(client->link);

    if (answer.type == '*') /* of several items, whose answers follow */
        answer = link_answer(client->link);
    if (asked->action != CHANGE && asked->item >= client->value_count)
        verify_counter(client, asked, &answer);
    else if (asked->action == READ)
        verify_value(client, asked, &answer);
    else if (answer.type == ':' && answer.number != values_size(&client->values, asked->item))
        report(client, asked, 0, (uint32_t)answer.number,
               values_size(&client->values, asked->item));
}

/* Writes the item as a whole, so that what is wrong is reported once. */
static void
repair(Client *client)
{
    uint32_t item = client->repair, *version = &client->versions[item];
    uint32_t skipped = VALUE_WHOLE_EVERY - 1 - *version % VALUE_WHOLE_EVERY;

    client->repair = NONE;
    *version += skipped;
    client->changes += skipped;
    ask(client, CHANGE, item);
}

static void
exchange(Client *client)
{
    link_send(client->link);
    for (unsigned i = 0; i < client->asked_count; i++)
        verify(client, &client->asked[i]);
    client->asked_count = 0;
    if (client->repair != NONE)
        repair(client);
}

/* ---- what it does all the time -------------------------------------------------------------- */

static void
visit(Client *client)
{
    uint32_t visit = client->status->visits++;
    uint32_t which = values_hash(client->values.seed, visit, 1);
    uint32_t what = values_hash(client->values.seed, visit, 2) % 10;
    uint32_t item = which % client->value_count;

    if (what < INCREMENTS) {
        uint32_t counters = client->item_count - client->value_count;

        ask(client, INCREMENT, client->value_count + which % counters);
        return;
    }
    if (values_hash(client->values.seed, visit, 3) % HOT != 0)
        item -= item % HOT;
    ask(client, what < INCREMENTS + READS ? READ : CHANGE, item);
}

static void
check_record(Client *client)
{
    uint32_t sum = 0;

    for (uint32_t item = 0; item < client->item_count; item++)
        sum += client->versions[item];
    if (sum == client->changes)
        return;
    say("E versions add up to %x, not %x", sum, client->changes);
    client->status->errors++;
    client->changes = sum;
}

/* One command for many items: each command costs much more than an item does. */
static void
sweep(Client *client, unsigned items)
{
    if (items == 0)
        return;
    link_words(client->link, 1 + items);
    link_text(client->link, "MGET");
    for (; items > 0; items--) {
        uint32_t item = client->sweep_item;

        if (item == 0)
            check_record(client);
        ask_item(client, item);
        client->asked[client->asked_count++] = (Asked){READ, item, client->versions[item]};
        client->sweep_item = item + 1 < client->item_count ? item + 1 : 0;
        client->status->swept++;
    }
}

/* How often it is due, up to the size of a group. */
static unsigned
due(Pace *pace, uint64_t now)
{
    unsigned times = 0;

    while (times < GROUP && pace_is_due(pace, now))
        times++;
    return times;
}

static void __attribute__((noreturn)) run(Client *client, const Options *options)
{
    Pace visits = pace_of(options->rate), sweeps = pace_of(options->verify);

    for (;;) {
        uint64_t now = now_ns();
        unsigned to_visit = due(&visits, now), to_sweep = due(&sweeps, now);

        for (unsigned i = 0; i < to_visit; i++)
            visit(client);
        sweep(client, to_sweep);
        exchange(client);
        if (to_visit < GROUP && to_sweep < GROUP)
            pace_rest();
    }
}

/* ---- getting ready -------------------------------------------------------------------------- */

/* How many values have so many bytes together. */
static uint32_t
count_values(const Values *values, uint64_t bytes)
{
    uint32_t count = 0;

    for (uint64_t sum = 0; sum < bytes; count++)
        sum += values_size(values, count);
    return count;
}

static void
load(Client *client)
{
    for (uint32_t item = 0; item < client->item_count;) {
        uint32_t rest = client->item_count - item, items = rest < GROUP ? rest : GROUP;

        link_words(client->link, 1 + 2 * items);
        link_text(client->link, "MSET");
        for (uint32_t end = item + items; item < end; item++) {
            ask_item(client, item);
            if (item >= client->value_count) {
                link_text(client->link, "0");
                continue;
            }
            values_make(&client->values, item, 0, client->want);
            link_data(client->link, client->want, values_size(&client->values, item));
        }
        link_send(client->link);
        link_answer(client->link);
    }
}

void
redis_run(const Options *options, Status *status)
{
    static Client client;
    uint64_t begin = now_ns(), bytes = (uint64_t)options->filled * 4096;

    if (options->filled < 256)
        stop("too little to fill");
    if (ROOM(bytes) / 4096 + OTHER_PAGES > (uint64_t)sysconf(_SC_AVPHYS_PAGES))
        stop("more to fill than there is memory");
    client.status = status;
    client.repair = NONE;
    values_init(&client.values, options->seed);
    client.value_count = count_values(&client.values, bytes);
    client.item_count = client.value_count + client.value_count / VALUES_PER_COUNTER;
    client.versions = calloc(client.item_count, sizeof *client.versions);
    if (client.versions == NULL)
        stop("no memory for the record");
    client.link = link_start(ROOM(bytes));
    load(&client);
    say("R filled=%x set=%x ms=%x", client.item_count, client.item_count,
        (uint32_t)((now_ns() - begin) / 1000000));
    run(&client, options);
}
