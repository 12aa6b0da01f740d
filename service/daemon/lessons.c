/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/lessons.h"

#define VMF_GUESTS_MAX 1024
#define VMF_PAGE 4096.0         /* bytes */
#define VMF_PAGES_LEAST 1000    /* that tell something */
#define VMF_PACKED_LEAST 1e6    /* bytes, likewise */
#define VMF_SPAN G_USEC_PER_SEC /* over which a link's rate is judged at least */
#define VMF_WORSE 0.2           /* likewise, when it took longer: a busy host soon rests again */
#define VMF_NEWS 0.5            /* weight of the latest migration */

struct VmfLessons {
    GHashTable *links;  /* name of the peer -> double, bytes/s */
    GHashTable *guests; /* uuid -> VmfPageLesson */
    double overhead;    /* s; 0: not known */
    VmfPageLesson general;
    gboolean has_general;
};

/* A migration that is learned from. */
typedef struct {
    VmfLessons *lessons;
    GVariant *last;    /* statistics */
    gint64 began;      /* monotonic µs */
    gint64 span_began; /* monotonic µs; 0: not yet */
    guint64 span_bytes;
    double rate; /* bytes/s, the best span so far */
} VmfPupil;

VmfLessons *
vmf_lessons_new(void)
{
    VmfLessons *self = g_rc_box_new0(VmfLessons);

    self->links = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->guests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return self;
}

static void
vmf_lessons_clear(VmfLessons *self)
{
    g_hash_table_unref(self->links);
    g_hash_table_unref(self->guests);
}

void
vmf_lessons_unref(VmfLessons *self)
{
    g_rc_box_release_full(self, (GDestroyNotify)vmf_lessons_clear);
}

/* ---- learning ---- */

static guint64
vmf_lessons_number(GVariant *statistics, const char *name)
{
    guint64 value = 0;

    g_variant_lookup(statistics, name, "t", &value);
    return value;
}

/*
 * What was packed is not told apart into pages and deltas, so both are taken to pack alike: their
 * sum is right, and it is the sum that is predicted.
 */
gboolean
vmf_lessons_read_pages(GVariant *statistics, VmfPageLesson *lesson)
{
    g_autoptr(GVariant) pages =
        g_variant_lookup_value(statistics, "pages", G_VARIANT_TYPE("a{st}"));
    double in = (double)vmf_lessons_number(statistics, "zstd-in");
    gboolean packs = in >= VMF_PACKED_LEAST;
    double packed = packs ? (double)vmf_lessons_number(statistics, "zstd-out") / in : 1;
    guint64 deltas, unchanged, whole;

    if (!pages)
        return FALSE;
    deltas = vmf_lessons_number(pages, "delta");
    unchanged = vmf_lessons_number(pages, "unchanged");
    whole = vmf_lessons_number(pages, "whole");
    if (whole < VMF_PAGES_LEAST || deltas + unchanged < VMF_PAGES_LEAST)
        return FALSE;
    lesson->packs = packs;
    lesson->whole_ratio = packed;
    lesson->delta_ratio =
        deltas ? (double)vmf_lessons_number(statistics, "delta-bytes") / ((double)deltas * VMF_PAGE)
               : 1;
    lesson->unchanged_share = (double)unchanged / (double)(deltas + unchanged);
    return TRUE;
}

static void
vmf_pupil_note_span(VmfPupil *self, guint64 bytes)
{
    gint64 now = g_get_monotonic_time();

    if (self->span_began == 0 || bytes < self->span_bytes) {
        self->span_began = now;
        self->span_bytes = bytes;
    } else if (now - self->span_began >= VMF_SPAN) {
        self->rate = MAX(self->rate, (double)(bytes - self->span_bytes) * G_USEC_PER_SEC /
                                         (double)(now - self->span_began));
        self->span_began = now;
        self->span_bytes = bytes;
    }
}

static void
vmf_pupil_on_statistics(VmfMigration *migration, GVariant *statistics, VmfPupil *self)
{
    vmf_pupil_note_span(self, vmf_lessons_number(statistics, "bytes-wire-out"));
    g_clear_pointer(&self->last, g_variant_unref);
    self->last = g_variant_ref(statistics);
}

/* A bound that was set says nothing of the link. */
static void
vmf_lessons_learn_link(VmfLessons *self, const VmfPupil *pupil, VmfMigration *migration)
{
    double *known = g_hash_table_lookup(self->links, vmf_migration_get_peer(migration));

    if (pupil->rate <= 0 || vmf_migration_get_bandwidth(migration))
        return;
    if (!known) {
        known = g_new(double, 1);
        *known = pupil->rate;
        g_hash_table_insert(self->links, g_strdup(vmf_migration_get_peer(migration)), known);
    }
    *known += (pupil->rate - *known) * VMF_NEWS;
}

/* What went by besides sending; all that does not come to the link's rate is in it. */
static void
vmf_lessons_learn_overhead(VmfLessons *self, const VmfPupil *pupil, VmfMigration *migration)
{
    double elapsed = (double)(g_get_monotonic_time() - pupil->began) / G_USEC_PER_SEC;
    double sending;
    double spent;

    if (pupil->rate <= 0 || vmf_migration_get_state(migration) != VMF_STATE_COMPLETED)
        return;
    sending = (double)vmf_lessons_number(pupil->last, "bytes-wire-out") / pupil->rate;
    spent = MAX(elapsed - sending, 0);
    if (self->overhead <= 0)
        self->overhead = spent;
    self->overhead += (spent - self->overhead) * (spent < self->overhead ? VMF_NEWS : VMF_WORSE);
}

/* A migration in which nothing was packed does not say that nothing can be. */
static void
vmf_lessons_remember_packing(VmfPageLesson *lesson, const VmfPageLesson *before)
{
    if (lesson->packs || !before || !before->packs)
        return;
    lesson->packs = TRUE;
    lesson->whole_ratio = before->whole_ratio;
}

static void
vmf_lessons_learn_pages(VmfLessons *self, GVariant *statistics, const char *uuid)
{
    VmfPageLesson lesson;

    if (!statistics || !vmf_lessons_read_pages(statistics, &lesson))
        return;
    vmf_lessons_remember_packing(&lesson, g_hash_table_lookup(self->guests, uuid));
    vmf_lessons_remember_packing(&lesson, &self->general);
    self->general = lesson;
    self->has_general = TRUE;
    if (g_hash_table_size(self->guests) >= VMF_GUESTS_MAX)
        g_hash_table_remove_all(self->guests); /* some are gone for good; the others teach again */
    g_hash_table_insert(self->guests, g_strdup(uuid), g_memdup2(&lesson, sizeof lesson));
}

static void
vmf_pupil_on_finished(VmfMigration *migration, VmfPupil *self)
{
    g_signal_handlers_disconnect_by_data(migration, self);
    vmf_lessons_learn_link(self->lessons, self, migration);
    vmf_lessons_learn_overhead(self->lessons, self, migration);
    vmf_lessons_learn_pages(self->lessons, self->last, vmf_migration_get_uuid(migration));
    vmf_lessons_unref(self->lessons);
    g_clear_pointer(&self->last, g_variant_unref);
    g_free(self);
}

void
vmf_lessons_watch(VmfLessons *self, VmfMigration *migration)
{
    VmfPupil *pupil = g_new0(VmfPupil, 1);

    pupil->began = g_get_monotonic_time();
    pupil->lessons = g_rc_box_acquire(self);
    g_signal_connect(migration, "statistics", G_CALLBACK(vmf_pupil_on_statistics), pupil);
    g_signal_connect(migration, "finished", G_CALLBACK(vmf_pupil_on_finished), pupil);
}

/* ---- what is known ---- */

gboolean
vmf_lessons_apply(VmfLessons *self, const char *uuid, const char *peer, VmfFacts *facts)
{
    const VmfPageLesson *lesson = g_hash_table_lookup(self->guests, uuid);
    const double *rate = peer ? g_hash_table_lookup(self->links, peer) : NULL;

    if (!lesson && self->has_general)
        lesson = &self->general;
    if (lesson) {
        facts->whole_ratio = lesson->packs ? lesson->whole_ratio : facts->whole_ratio;
        facts->delta_ratio = lesson->delta_ratio;
        facts->packed_ratio = lesson->delta_ratio * facts->whole_ratio;
        facts->unchanged_share = lesson->unchanged_share;
    }
    if (self->overhead > 0)
        facts->overhead = self->overhead;
    if (rate)
        facts->link_rate = *rate;
    return rate != NULL;
}
