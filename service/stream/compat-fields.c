/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fields of a state, sent and loaded, side by side. */
#include "stream/compat-private.h"

#include <stdlib.h>
#include <string.h>

#define UNUSED "unused"
#define AHEAD 256 /* how far apart one field may be on the two sides */

/*
 * Structs inside structs leave no mark on the wire, and fields move in and out of them between
 * releases: so the sides are compared as flat lists of fields, descending only where needed.
 */
typedef struct {
    GPtrArray *fields; /* const VmfVmstateField */
    guint at;
} Side;

static void
flatten(const VmfVmstate *state, uint64_t version, GPtrArray *to)
{
    for (guint i = 0; i < state->fields->len; i++) {
        const VmfVmstateField *field = state->fields->pdata[i];

        if (field->version <= version)
            g_ptr_array_add(to, (gpointer)field);
    }
}

static const VmfVmstateField *
peek(const Side *side)
{
    return side->at < side->fields->len ? side->fields->pdata[side->at] : NULL;
}

/* Replaces the struct that is next by its fields. */
static void
descend(Side *side)
{
    const VmfVmstateField *field = peek(side);
    g_autoptr(GPtrArray) rest = g_ptr_array_new();

    flatten(field->inner, G_MAXUINT64, rest);
    for (guint i = side->at + 1; i < side->fields->len; i++)
        g_ptr_array_add(rest, side->fields->pdata[i]);
    g_ptr_array_set_size(side->fields, (int)side->at);
    for (guint i = 0; i < rest->len; i++)
        g_ptr_array_add(side->fields, rest->pdata[i]);
}

/* The last part of a name: "ar.tmr.timer" and "tmr.timer" are one field at two places. */
static const char *
last_part(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot ? dot + 1 : name;
}

/*
 * A description numbers fields that have one name in the code ("config[1]" is the second of them);
 * -1: not numbered.
 */
static int
ordinal_in_name(const char *name, size_t *ret_length)
{
    const char *open = strrchr(name, '[');
    char *end;
    long ordinal;

    *ret_length = strlen(name);
    if (!open || !g_ascii_isdigit(open[1]))
        return -1;
    ordinal = strtol(open + 1, &end, 10);
    if (strcmp(end, "]") != 0 || ordinal > G_MAXINT16)
        return -1;
    *ret_length = (size_t)(open - name);
    return (int)ordinal;
}

static gboolean
same_base_name(const char *a, const char *b)
{
    size_t a_length, b_length;

    ordinal_in_name(a, &a_length);
    ordinal_in_name(b, &b_length);
    return a_length == b_length && strncmp(a, b, a_length) == 0;
}

static gboolean
same_name(const VmfVmstateField *a, const VmfVmstateField *b)
{
    return same_base_name(a->name, b->name) ||
           same_base_name(last_part(a->name), last_part(b->name));
}

static gboolean
is_unused(const VmfVmstateField *field)
{
    return same_base_name(field->name, UNUSED);
}

/* Is this optional field of the destination one that the numbered one of a stream comes behind? */
static gboolean
is_skipped(const Side *destination, const VmfVmstateField *s, const VmfVmstateField *d)
{
    size_t length;
    int ordinal = ordinal_in_name(s->name, &length);
    int before = 0;

    if (ordinal < 0 || !d->optional)
        return FALSE;
    for (guint i = destination->at > AHEAD ? destination->at - AHEAD : 0; i < destination->at; i++)
        before += same_name(destination->fields->pdata[i], d);
    return before < ordinal;
}

/* Is that field further on, on this side? */
static gboolean
comes_later(const Side *side, const VmfVmstateField *field)
{
    guint end = MIN(side->fields->len, side->at + AHEAD);

    for (guint i = side->at + 1; i < end; i++)
        if (same_name(side->fields->pdata[i], field))
            return TRUE;
    return FALSE;
}

static gboolean
starts_with(const VmfVmstateField *outer, const VmfVmstateField *field)
{
    const VmfVmstate *state = outer->inner;

    return state && state->fields->len > 0 && same_name(state->fields->pdata[0], field);
}

static void
compare_sizes(VmfCheck *check, const VmfVmstateField *source, const VmfVmstateField *destination)
{
    /* Sizes of structs are those of C; what they send is compared inside. */
    if (source->inner || destination->inner || !source->size || !destination->size ||
        source->size == destination->size)
        return;
    vmf_check_find(check, VMF_COMPAT_FAILS, source->name,
                   "has %" G_GUINT64_FORMAT " bytes at the source and %" G_GUINT64_FORMAT
                   " at the destination",
                   source->size, destination->size);
}

static void
compare_fields(VmfCheck *check, const VmfVmstateField *source, const VmfVmstateField *destination)
{
    compare_sizes(check, source, destination);
    if (source->inner && destination->inner)
        vmf_check_states(check, source->inner, destination->inner, FALSE);
    if (source->optional && !destination->optional && !check->sent)
        vmf_check_find(check, VMF_COMPAT_FINE, source->name, "is optional at the source only");
}

static void
surplus(VmfCheck *check, const VmfVmstateField *field)
{
    gboolean outer = check->if_sent;

    check->if_sent = outer || field->optional;
    vmf_check_find(check, VMF_COMPAT_FAILS, field->name,
                   "is sent by the source and not known at the destination");
    check->if_sent = outer;
}

static void
missing(VmfCheck *check, const VmfVmstateField *field)
{
    if (field->optional)
        return; /* its condition decides, as it does at the source */
    if (check->sent && field->inner)
        vmf_check_find(
            check, VMF_COMPAT_UNKNOWN, field->name,
            "is not in the stream; that is right only if it is an array without elements");
    else
        vmf_check_find(check, VMF_COMPAT_FAILS, field->name,
                       "is expected by the destination and not sent by the source");
}

static void
judge_unused(VmfCheck *check, const VmfVmstateField *field, gboolean dropped)
{
    if (dropped)
        vmf_check_find(check, VMF_COMPAT_FINE, field->name, "is no longer used by the destination");
    else
        vmf_check_find(check, VMF_COMPAT_LOSES, field->name,
                       "gets zeros, as the source has no such field");
}

/*
 * Fields of one side in the place of bytes that are unused at the other. A dump does not tell how
 * many elements an array has, so they end at the latest where both sides have the same field again.
 */
static gboolean
compare_unused(VmfCheck *check, Side *source, Side *destination)
{
    const VmfVmstateField *s = peek(source);
    const VmfVmstateField *d = peek(destination);
    gboolean dropped = is_unused(d);
    Side *many = dropped ? source : destination;
    Side *other = dropped ? destination : source;
    uint64_t left = dropped ? d->size : s->size;

    if (!dropped && !is_unused(s))
        return FALSE;
    other->at++;
    for (gboolean first = TRUE; left > 0 && peek(many); first = FALSE) {
        const VmfVmstateField *field = peek(many);

        if (!first && peek(other) && same_name(field, peek(other)))
            return TRUE;
        if (field->inner) {
            descend(many);
            continue;
        }
        many->at++;
        if (field->size > left) {
            vmf_check_find(check, VMF_COMPAT_FAILS, field->name,
                           "does not fit into the bytes left unused at the other side");
            return TRUE;
        }
        left -= field->size;
        judge_unused(check, field, dropped);
    }
    return TRUE;
}

/* Both sides have a field here that the other has not. */
static void
compare_strangers(VmfCheck *check, Side *source, Side *destination)
{
    const VmfVmstateField *s = peek(source);
    const VmfVmstateField *d = peek(destination);

    if (compare_unused(check, source, destination))
        return;
    if (!s->inner != !d->inner) {
        descend(s->inner ? source : destination);
        return;
    }
    source->at++;
    destination->at++;
    if (s->inner)
        vmf_check_states(check, s->inner, d->inner, FALSE);
    else if (s->size == d->size && s->size > 0)
        vmf_check_find(check, VMF_COMPAT_FINE, s->name, "is called %s at the destination", d->name);
    else
        vmf_check_find(check, VMF_COMPAT_FAILS, s->name,
                       "of %" G_GUINT64_FORMAT " bytes meets %s of %" G_GUINT64_FORMAT
                       " bytes at the destination",
                       s->size, d->name, d->size);
}

/* One step along both lists. */
static void
align(VmfCheck *check, Side *source, Side *destination)
{
    const VmfVmstateField *s = peek(source);
    const VmfVmstateField *d = peek(destination);
    gboolean s_later = comes_later(destination, s);
    gboolean d_later = comes_later(source, d);

    if (starts_with(d, s)) {
        descend(destination);
    } else if (starts_with(s, d)) {
        descend(source);
    } else if (s_later && d_later) {
        /* Reordered: bytes go where they do not belong, though as many. */
        source->at++;
        destination->at++;
        vmf_check_find(check,
                       s->size == d->size && s->size > 0 ? VMF_COMPAT_LOSES : VMF_COMPAT_FAILS,
                       s->name, "comes where the destination has %s", d->name);
    } else if (s_later && !is_unused(s)) {
        destination->at++;
        missing(check, d);
    } else if (d_later && !is_unused(d)) {
        source->at++;
        surplus(check, s);
    } else if (d->optional && s->size != d->size && !is_unused(s)) {
        destination->at++;
    } else {
        compare_strangers(check, source, destination);
    }
}

static void
compare_lists(VmfCheck *check, Side *source, Side *destination)
{
    const VmfVmstateField *s, *d;

    while ((s = peek(source)) && (d = peek(destination))) {
        if (check->sent && same_name(s, d) && is_skipped(destination, s, d)) {
            destination->at++;
        } else if (same_name(s, d) && (s->inner != NULL) == (d->inner != NULL)) {
            source->at++;
            destination->at++;
            compare_fields(check, s, d);
        } else if (same_name(s, d) && s->inner && !starts_with(s, d)) {
            source->at++;
            destination->at++; /* described on one side only, and saved by code on the other */
        } else if (same_name(s, d)) {
            source->at++;
            destination->at++;
        } else {
            align(check, source, destination);
        }
    }
    for (; (s = peek(source)); source->at++)
        surplus(check, s);
    for (; (d = peek(destination)); destination->at++)
        missing(check, d);
}

void
vmf_check_fields(VmfCheck *check, const VmfVmstate *source, const VmfVmstate *destination,
                 uint64_t version)
{
    g_autoptr(GPtrArray) sent = g_ptr_array_new();
    g_autoptr(GPtrArray) loaded = g_ptr_array_new();
    Side from = {.fields = sent};
    Side to = {.fields = loaded};

    flatten(source, G_MAXUINT64, sent);
    flatten(destination, version, loaded);
    compare_lists(check, &from, &to);
}
