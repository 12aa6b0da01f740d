/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/rewrite.h"

#include <string.h>

#include "base/bytes.h"
#include "pump/bases.h"
#include "pump/tail.h"
#include "stream/stream.h"

#define RAM_WHOLE 0x08
#define RAM_CONTINUE 0x20
#define RAM_XBZRLE 0x40
#define XBZRLE_ENCODING 1
#define HEAD_MAX (8 + 1 + 255 + 3) /* address and flags, block name, encoding and length */
#define LENGTH_SIZE 2

struct VmfRewrite {
    VmfRewriteSetup setup;
    VmfChunkPool *pool;
    VmfRewriteSink sink;
    gpointer owner;

    VmfReader *reader;
    VmfSliceQueue unread; /* fed to the reader, and not part of an event yet */
    VmfBytes input;       /* what it was fed last */
    gsize passed;         /* of these: went by already */
    VmfBases *bases;      /* from the list of RAM blocks on */
    gboolean on;
    gboolean postcopy;
    char *why;
    VmfTail *tail;  /* NULL: nothing is judged, or no more */
    gboolean named; /* the stream says of which machine type it is */
    gboolean told;  /* that the tail begins */
    GError *error;  /* the judgement */

    VmfChunk *chunk; /* output that is put together */
    gsize filled;    /* behind the headroom */
    VmfRewriteFigures figures;
    VmfBasesFigures before; /* of bases that are gone */
};

VmfRewrite *
vmf_rewrite_new(const VmfRewriteSetup *setup, VmfChunkPool *pool, VmfRewriteSink sink,
                gpointer owner)
{
    const VmfReaderOptions options = {.connection = VMF_CONNECTION_MAIN,
                                      .devices = VMF_DEVICES_OPAQUE};
    VmfRewrite *self = g_new0(VmfRewrite, 1);

    self->setup = *setup;
    self->pool = pool;
    self->sink = sink;
    self->owner = owner;
    self->reader = vmf_reader_new(&options);
    self->on = setup->unchanged || setup->xbzrle;
    if (setup->loadable)
        self->tail = vmf_tail_new(setup->loadable);
    return self;
}

void
vmf_rewrite_free(VmfRewrite *self)
{
    vmf_reader_free(self->reader);
    vmf_slice_queue_clear(&self->unread);
    g_clear_pointer(&self->bases, vmf_bases_free);
    g_clear_pointer(&self->chunk, vmf_chunk_unref);
    vmf_tail_free(self->tail);
    g_clear_error(&self->error);
    g_free(self->why);
    g_free(self);
}

/* Their counts stay. */
static void
vmf_rewrite_drop_bases(VmfRewrite *self)
{
    VmfBasesFigures now;

    if (!self->bases)
        return;
    vmf_bases_get_figures(self->bases, &now);
    self->before.hits += now.hits;
    self->before.misses += now.misses;
    self->before.disproved += now.disproved;
    g_clear_pointer(&self->bases, vmf_bases_free);
}

/* ---- output ---- */

static void
vmf_rewrite_send(VmfRewrite *self)
{
    VmfSlice slice = {self->chunk, NULL, self->filled};

    if (self->filled == 0)
        return;
    slice.data = self->chunk->data + VMF_CHUNK_HEADROOM;
    self->chunk = NULL;
    self->filled = 0;
    self->figures.out += slice.length;
    self->sink(self->owner, slice);
}

/* Where `size` bytes, at most a chunk's, may be written. */
static uint8_t *
vmf_rewrite_reserve(VmfRewrite *self, gsize size)
{
    if (self->filled + size > VMF_CHUNK_SIZE - VMF_CHUNK_HEADROOM)
        vmf_rewrite_send(self);
    if (!self->chunk)
        self->chunk = vmf_chunk_new(self->pool, VMF_CHUNK_SIZE);
    return self->chunk->data + VMF_CHUNK_HEADROOM + self->filled;
}

static void
vmf_rewrite_append(VmfRewrite *self, const uint8_t *data, gsize length)
{
    while (length > 0) {
        gsize n = MIN(length, VMF_CHUNK_SIZE / 4);

        memcpy(vmf_rewrite_reserve(self, n), data, n);
        self->filled += n;
        data += n;
        length -= n;
    }
}

/* By reference, in order behind what was put together. */
static void
vmf_rewrite_pass(VmfRewrite *self, const VmfSlice *bytes)
{
    vmf_rewrite_send(self);
    self->figures.out += bytes->length;
    self->sink(self->owner, vmf_slice_keep(bytes));
}

/* ---- the tail ---- */

static void
vmf_rewrite_tell_tail(VmfRewrite *self)
{
    if (self->told || !self->setup.tail)
        return;
    self->told = TRUE;
    vmf_rewrite_send(self);
    self->setup.tail(self->owner);
}

/* From here on nothing is judged. */
static void
vmf_rewrite_release(VmfRewrite *self)
{
    const GByteArray *held;

    if (!self->tail)
        return;
    held = vmf_tail_bytes(self->tail);
    if (held->len > 0)
        vmf_rewrite_tell_tail(self);
    vmf_rewrite_append(self, held->data, held->len);
    g_clear_pointer(&self->tail, vmf_tail_free);
}

static void
vmf_rewrite_judge(VmfRewrite *self, const VmfEvent *event)
{
    switch (vmf_tail_put(self->tail, event->raw, event->raw_length, &self->error)) {
    case VMF_TAIL_HELD:
        break;
    case VMF_TAIL_RELEASE:
        vmf_rewrite_release(self);
        break;
    case VMF_TAIL_REFUSED:
        g_clear_pointer(&self->tail, vmf_tail_free);
        g_clear_pointer(&self->chunk, vmf_chunk_unref);
        self->filled = 0;
        break;
    }
}

/* A machine type that names itself has footers, too, by which the end of its stream is known. */
static gboolean
vmf_rewrite_is_judged(VmfRewrite *self, const VmfEvent *event)
{
    if (!self->tail)
        return FALSE;
    self->named |= event->type == VMF_EVENT_CONFIGURATION;
    return self->named && event->type == VMF_EVENT_DATA && event->data.role == VMF_DATA_TAIL;
}

void
vmf_rewrite_flush(VmfRewrite *self)
{
    if (self->tail && vmf_tail_rest(self->tail) == VMF_TAIL_RELEASE)
        vmf_rewrite_release(self);
    vmf_rewrite_send(self);
}

/* ---- records ---- */

/* The head of an XBZRLE record, but for the length; returns its own. */
static gsize
vmf_rewrite_put_head(uint8_t *to, const VmfPage *page)
{
    gsize n = 8, name = strlen(page->block->name);

    vmf_put_u64(to, page->address | RAM_XBZRLE | (page->continued ? RAM_CONTINUE : 0));
    if (!page->continued) {
        to[n++] = (uint8_t)name;
        memcpy(to + n, page->block->name, name);
        n += name;
    }
    to[n] = XBZRLE_ENCODING;
    return n + 1 + LENGTH_SIZE;
}

/* The next record mostly follows at once, and is of the same kind. */
static void
vmf_rewrite_look_ahead(VmfRewrite *self, const VmfEvent *event)
{
    const uint8_t *after = event->raw + event->raw_length;
    VmfBytes next = self->input;
    guint64 head;

    if (after < next.data || after > next.data + next.length)
        return; /* the reader keeps this record */
    next.position = (gsize)(after - next.data);
    head = vmf_bytes_get_u64(&next);
    after = vmf_bytes_get_data(&next, event->page.length);
    if (after && (head & (event->page.length - 1)) == (RAM_WHOLE | RAM_CONTINUE))
        vmf_bases_expect(self->bases, event->page.block, head, after);
}

static void
vmf_rewrite_whole(VmfRewrite *self, const VmfEvent *event)
{
    const VmfPage *page = &event->page;
    /* less than the page, or it does not pay */
    gsize room = page->length - 1 - LENGTH_SIZE - 1;
    uint8_t *to = vmf_rewrite_reserve(self, HEAD_MAX + page->length);
    gsize head = vmf_rewrite_put_head(to, page);
    int length;

    vmf_rewrite_look_ahead(self, event);
    length = vmf_bases_send(self->bases, page, to + head, self->setup.xbzrle ? room : 0);
    if (length == VMF_BASES_EQUAL && self->setup.unchanged && page->continued) {
        self->figures.unchanged++;
    } else if (length > 0) {
        vmf_put_u16(to + head - LENGTH_SIZE, (uint16_t)length);
        self->filled += head + (gsize)length;
        self->figures.delta++;
        self->figures.delta_from += page->length;
        self->figures.delta_bytes += (guint64)length;
    } else {
        self->figures.whole++;
        vmf_rewrite_append(self, event->raw, event->raw_length);
    }
}

static void
vmf_rewrite_page(VmfRewrite *self, const VmfEvent *event)
{
    const VmfPage *page = &event->page;

    if (page->kind == VMF_PAGE_WHOLE) {
        vmf_rewrite_whole(self, event);
        return;
    }
    self->figures.zero += page->kind == VMF_PAGE_ZERO;
    self->figures.whole += page->kind == VMF_PAGE_COMPRESSED;
    self->figures.delta += page->kind == VMF_PAGE_XBZRLE;
    vmf_bases_pass(self->bases, page);
    vmf_rewrite_append(self, event->raw, event->raw_length);
}

/* What QEMU says that ends the rewriting. */
static const char *
vmf_rewrite_obey(VmfRewrite *self, const VmfEvent *event)
{
    if (event->type != VMF_EVENT_COMMAND)
        return NULL;
    switch (event->command.code) {
    case VMF_COMMAND_POSTCOPY_RAM_DISCARD:
    case VMF_COMMAND_POSTCOPY_LISTEN:
        self->postcopy = TRUE;
        return "post-copy";
    case VMF_COMMAND_ENABLE_COLO:
        return "COLO";
    default:
        return NULL;
    }
}

/* Before the first page that is rewritten: by then the page size is known. */
static gboolean
vmf_rewrite_make_bases(VmfRewrite *self)
{
    g_autoptr(GError) error = NULL;

    if (!self->bases)
        self->bases = vmf_bases_new(vmf_reader_page_size(self->reader), self->setup.cache,
                                    self->setup.proves, &error);
    if (!self->bases)
        vmf_rewrite_give_up(self, error->message);
    return self->bases != NULL;
}

/* An event of which a part went by already: the rest follows as it is. */
static void
vmf_rewrite_rest(VmfRewrite *self, const VmfEvent *event)
{
    gsize before = MIN(self->passed, event->raw_length);

    if (event->type == VMF_EVENT_PAGE)
        vmf_bases_pass(self->bases, &event->page);
    self->passed -= before;
    vmf_rewrite_append(self, event->raw + before, event->raw_length - before);
}

/* Bytes go by before they are read; not where they may have to be held. */
static gboolean
vmf_rewrite_passes_ahead(const VmfRewrite *self)
{
    return !self->on && !self->setup.loadable && !self->setup.proves;
}

/* There is something to be done with what comes. */
static gboolean
vmf_rewrite_reads(const VmfRewrite *self)
{
    return !self->error && (!self->why || self->tail);
}

static void
vmf_rewrite_event(VmfRewrite *self, const VmfEvent *event)
{
    const char *why = vmf_rewrite_obey(self, event);

    if (why) {
        vmf_rewrite_release(self);
        vmf_rewrite_give_up(self, why);
        return;
    }
    if (vmf_rewrite_is_judged(self, event)) {
        vmf_rewrite_judge(self, event);
        vmf_slice_queue_drop(&self->unread, event->raw_length);
        return;
    }
    if (event->type == VMF_EVENT_DATA && event->data.role == VMF_DATA_TAIL)
        vmf_rewrite_tell_tail(self);
    if (self->on && event->type == VMF_EVENT_PAGE && !vmf_rewrite_make_bases(self) && !self->tail)
        return;
    if (vmf_rewrite_passes_ahead(self))
        self->passed -= MIN(self->passed, event->raw_length);
    else if (self->passed > 0)
        vmf_rewrite_rest(self, event);
    else if (self->on && event->type == VMF_EVENT_PAGE)
        vmf_rewrite_page(self, event);
    else
        vmf_rewrite_append(self, event->raw, event->raw_length);
    vmf_slice_queue_drop(&self->unread, event->raw_length);
}

/* All that did not go by yet. */
static void
vmf_rewrite_let_go(VmfRewrite *self)
{
    vmf_slice_queue_drop(&self->unread, self->passed);
    for (guint i = 0; i < self->unread.count; i++)
        vmf_rewrite_pass(self, vmf_slice_queue_peek(&self->unread, i));
    vmf_rewrite_send(self);
    vmf_slice_queue_clear(&self->unread);
    self->passed = 0;
    vmf_rewrite_drop_bases(self);
}

void
vmf_rewrite_put(VmfRewrite *self, const VmfSlice *bytes)
{
    VmfReadStatus status = VMF_READ_MORE;
    g_autoptr(GError) error = NULL;
    VmfEvent event;

    self->figures.in += bytes->length;
    if (self->error)
        return;
    if (!vmf_rewrite_reads(self)) {
        vmf_rewrite_pass(self, bytes);
        return;
    }
    vmf_chunk_ref(bytes->chunk);
    vmf_slice_queue_push(&self->unread, *bytes);
    if (vmf_rewrite_passes_ahead(self)) {
        vmf_rewrite_pass(self, bytes);
        self->passed += bytes->length;
    }
    self->input = VMF_BYTES(bytes->data, bytes->length);
    vmf_reader_feed(self->reader, bytes->data, bytes->length);
    while (vmf_rewrite_reads(self) &&
           (status = vmf_reader_next(self->reader, &event, &error)) == VMF_READ_EVENT)
        vmf_rewrite_event(self, &event);
    if (status == VMF_READ_ERROR) {
        vmf_rewrite_release(self);
        vmf_rewrite_give_up(self, error->message);
    }
    if (!vmf_rewrite_reads(self) && !self->error)
        vmf_rewrite_let_go(self);
}

void
vmf_rewrite_end(VmfRewrite *self)
{
    if (self->error)
        return;
    vmf_rewrite_release(self);
    vmf_rewrite_let_go(self);
}

void
vmf_rewrite_give_up(VmfRewrite *self, const char *why)
{
    if (self->why)
        return;
    self->why = g_strdup(why);
    self->on = FALSE;
    if (self->tail)
        vmf_rewrite_drop_bases(self); /* reading goes on */
    else
        vmf_rewrite_let_go(self);
}

/* ---- what it is told and asked ---- */

void
vmf_rewrite_set_cache(VmfRewrite *self, guint64 size)
{
    self->setup.cache = size;
    if (self->bases)
        vmf_bases_set_cache(self->bases, size);
}

void
vmf_rewrite_set_on(VmfRewrite *self, gboolean on)
{
    on = on && (self->setup.unchanged || self->setup.xbzrle);
    if (self->why || self->on == on)
        return;
    self->on = on;
    vmf_rewrite_drop_bases(self);
    if (vmf_rewrite_passes_ahead(self)) {
        /* from here on all goes by as it comes */
        for (guint i = 0; i < self->unread.count; i++)
            vmf_rewrite_pass(self, vmf_slice_queue_peek(&self->unread, i));
        self->passed = self->unread.bytes;
    }
}

const char *
vmf_rewrite_why(const VmfRewrite *self)
{
    return self->why;
}

const GError *
vmf_rewrite_error(const VmfRewrite *self)
{
    return self->error;
}

gboolean
vmf_rewrite_is_postcopy(const VmfRewrite *self)
{
    return self->postcopy;
}

void
vmf_rewrite_get_figures(const VmfRewrite *self, VmfRewriteFigures *ret)
{
    VmfBasesFigures bases = {.cache_limit = self->setup.cache};

    if (self->bases)
        vmf_bases_get_figures(self->bases, &bases);
    *ret = self->figures;
    ret->bases = bases;
    ret->bases.hits += self->before.hits;
    ret->bases.misses += self->before.misses;
    ret->bases.disproved += self->before.disproved;
}

guint
vmf_rewrite_get_curve(const VmfRewrite *self, VmfSamplerPoint *ret_points, guint count,
                      guint64 *ret_repeats)
{
    const VmfSampler *sampler = self->bases ? vmf_bases_sampler(self->bases) : NULL;

    *ret_repeats = sampler ? vmf_sampler_repeats(sampler) : 0;
    return sampler ? vmf_sampler_curve(sampler, ret_points, count) : 0;
}
