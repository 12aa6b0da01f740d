/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an administrator allows and wants for a guest's migrations, as values: a preset, changed by
 * a policy file (xml/policy.h reads them), narrowed by the guest's own wishes.
 *
 * Units: bytes, bytes/s, ms, s, and shares from 0 to 1. Where it says "0: none" the limit is
 * absent. Ownership: `name` and `preset` are static or outlive the struct; the rest is plain data.
 * Pure; any thread.
 */
#pragma once

#include <glib.h>

typedef enum {
    VMF_ENGINES_PUMP = 1 << 0,      /* pumps on both sides */
    VMF_ENGINES_ONE_SIDED = 1 << 1, /* a pump on the source only */
    VMF_ENGINES_NATIVE = 1 << 2,    /* libvirt's own migration with QEMU's XBZRLE */
    VMF_ENGINES_PLAIN = 1 << 3,     /* libvirt's own migration as it is */
    VMF_ENGINES_ALL = (1 << 4) - 1
} VmfEngines;

/* Ways in that are taken care of without being asked; `vmferry migrate` needs no permission. */
typedef enum {
    VMF_WAY_SOCKET = 1 << 0,  /* a socket for virsh migrate --migrateuri */
    VMF_WAY_CAPTURE = 1 << 1, /* connections that a firewall rule leads to us */
    VMF_WAY_NATIVE = 1 << 2,  /* migrations of others: QEMU's cache ahead, its downtime meanwhile */
    VMF_WAY_ALL = (1 << 3) - 1
} VmfWay;

typedef enum {
    VMF_DEADLINE_GO_ON,
    VMF_DEADLINE_SWITCHOVER, /* stop the guest in time, so that the rest gets through */
    VMF_DEADLINE_POSTCOPY,
    VMF_DEADLINE_THROTTLE, /* slow the guest down from the start, when it will not end otherwise */
    VMF_DEADLINE_ABORT     /* the guest stays */
} VmfDeadlineAction;

typedef enum { VMF_COMPRESS_AUTO, VMF_COMPRESS_OFF, VMF_COMPRESS_ON } VmfCompress;

typedef struct {
    const char *name;   /* of the policy, or of the preset alone */
    const char *preset; /* it is built on */

    guint64 bandwidth;   /* on the wire, bytes/s; 0: none */
    guint downtime;      /* ms that are allowed from the start */
    guint downtime_max;  /* ms, when it does not end otherwise; >= downtime */
    guint downtime_step; /* ms more for each pass that brings nothing; 0: never more */
    guint deadline;      /* s; 0: none */
    guint deadline_gib;  /* s for each GiB of the guest; 0: none */
    VmfDeadlineAction on_deadline;
    guint64 cache_memory; /* bytes on this host for pages sent before; 0: none but the share */
    double cache_share;   /* of the memory that is free on the host */
    double cpu_share;     /* of the host's processors, for compression and deltas */
    VmfCompress compression;
    guint engines;        /* VmfEngines, those allowed */
    guint ways;           /* VmfWay */
    gboolean fail_closed; /* without vmferry there is no migration */
    gboolean observe;     /* measure dirty rates ahead of time */
} VmfPolicy;

/* Built in; NULL if there is none of that name. Static. */
const VmfPolicy *vmf_policy_preset(const char *name);

/* All of them, in the order of the manual; ends with NULL. */
const VmfPolicy *const *vmf_policy_presets(void);

/* The one that holds when nothing else is said: balanced. */
const VmfPolicy *vmf_policy_default(void);

/*
 * What both allow: the smaller number, the engines and ways of both, compression only if neither
 * has it off, the stricter way to fail. The guest's wishes can so narrow, and never widen.
 */
void vmf_policy_narrow(VmfPolicy *policy, const VmfPolicy *wish);

/* Seconds from the start, for a guest of so many bytes: the sooner of both; 0: none. */
double vmf_policy_get_deadline(const VmfPolicy *policy, guint64 ram);

/* Bytes that a cache may take, of `free` bytes on the host, the cache itself counted as free. */
guint64 vmf_policy_get_cache_budget(const VmfPolicy *policy, guint64 free);

/*
 * Threads that may compress at once, on a host of so many processors: two in any case, if it has
 * them, since one alone may be what a migration waits for.
 */
guint vmf_policy_get_packers(const VmfPolicy *policy, guint processors);

/* The words of files, bus and manual, in the order of the values (bits); end with NULL. */
const char *const *vmf_engine_words(void);
const char *const *vmf_way_words(void);
const char *const *vmf_deadline_action_words(void);
const char *const *vmf_compression_words(void);

/* "pump native", "none"; the caller's. */
char *vmf_policy_format_set(guint set, const char *const *words);
