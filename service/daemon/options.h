/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a migration is asked to be: the options of Manager.Migrate (data/org.vmferry1.xml), and what
 * the options of other methods are read with.
 *
 * Read and checked before anything is touched; what libvirt or QEMU cannot combine is refused here
 * with its reason. Plain data, not changed afterwards: any thread. The strings are the struct's.
 */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>

#include "daemon/delta.h"
#include "policy/policy.h"

#define VMF_DOWNTIME_DEFAULT 300         /* ms, as libvirt's */
#define VMF_DOWNTIME_BY_POLICY G_MAXUINT /* nobody said */

typedef enum {
    VMF_ON_TIMEOUT_SUSPEND,  /* stop the guest, so that the rest gets through */
    VMF_ON_TIMEOUT_POSTCOPY, /* switch to post-copy */
    VMF_ON_TIMEOUT_ABORT,    /* the guest stays */
} VmfOnTimeout;

/* What carries the stream, as Migration.Engine says. */
typedef enum {
    VMF_ENGINE_AUTO,      /* the best that both sides can do and may */
    VMF_ENGINE_PUMP,      /* a pump at both hosts */
    VMF_ENGINE_ONE_SIDED, /* pumps at the source only, and plain TCP to the destination's QEMU */
    VMF_ENGINE_NATIVE,    /* libvirt alone, with what QEMU has against busy guests */
    VMF_ENGINE_PLAIN,     /* libvirt alone */
} VmfEngine;

/* How QEMU makes its stream smaller by itself, with engine native. */
typedef enum {
    VMF_METHOD_AUTO, /* XBZRLE; over parallel connections zstd, where both hosts have it */
    VMF_METHOD_NONE,
    VMF_METHOD_XBZRLE, /* of one stream only */
    VMF_METHOD_ZLIB,   /* of parallel connections only, likewise: */
    VMF_METHOD_ZSTD,
} VmfNativeMethod;

typedef struct {
    VmfEngine engine;
    VmfNativeMethod method;
    gboolean unencrypted;
    gboolean verify; /* end to end: what went in at the source came out at the destination */
    guint parallel;  /* connections; 0: one stream */
    gboolean postcopy;
    gboolean postcopy_after_precopy; /* after the first pass; implies postcopy */
    gboolean postcopy_resume;        /* the rest of one that failed; implies postcopy */
    gboolean persistent;
    gboolean undefine_source;
    char *copy_storage; /* "all", "inc" or NULL */
    guint bandwidth;    /* MiB/s on the wire; 0: no bound */
    VmfDelta delta;     /* cache: VMF_CACHE_DEFAULT unless it was said */
    guint downtime;     /* ms that are allowed, or VMF_DOWNTIME_BY_POLICY */
    gboolean throttle;  /* QEMU may slow the guest down: not asked for, but the policy's */
    guint barred;       /* VmfEngines that the policy does not allow for "auto" */
    guint64 qemu_cache; /* bytes of QEMU's own, for the native engine; 0: VMF_NATIVE_CACHE */
    guint64 memory;     /* of the guest, bytes; 0: not known */
    VmfEngine planned;  /* for "auto", when both hosts agree; AUTO: a pump */
    guint packers;      /* threads that may compress; 0: as many as there are processors */
    guint timeout;      /* s; 0: none */
    VmfOnTimeout on_timeout;
    char *dname;
    char *xml;
    char **force; /* names of concerns (precheck.h); NULL: none */
} VmfOptions;

/*
 * One key that an a{sv} may have: "b" into a gboolean, "u" a guint, "t" a guint64, "i" a gint32,
 * "s" a char *, "as" a char ** (owned).
 */
typedef struct {
    const char *name;
    const char *type;
    gpointer value;
} VmfOption;

/* Errors: INVALID_ARGUMENT (a key that is not among the `n`, or of another type). */
gboolean vmf_options_read(GVariant *dict, const VmfOption *known, gsize n, GError **error);

/* What a migration is that nobody says anything of. */
VmfOptions *vmf_options_new(void);

/* Errors: INVALID_ARGUMENT (unknown, another type, out of range), NOT_SUPPORTED (combination). */
VmfOptions *vmf_options_parse(GVariant *dict, GError **error);
void vmf_options_free(VmfOptions *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfOptions, vmf_options_free)

/* Bytes of QEMU's own XBZRLE cache, where a migration begins with it and nobody knows better. */
#define VMF_NATIVE_CACHE (64ull << 20)

/* How the stream goes, as it was decided. */
typedef struct {
    VmfEngine engine;
    VmfNativeMethod method;     /* of engine native; never AUTO */
    guint connections;          /* as agreed, where `parallel` is asked for; 0: as asked for */
    const char *uri;            /* for the stream; NULL: what libvirt chooses */
    const char *disks_uri;      /* likewise */
    const char *listen_address; /* of the destination's QEMU; likewise */
} VmfRoute;

/* Flags for virDomainMigrateToURI3. */
guint vmf_options_get_flags(const VmfOptions *options, const VmfRoute *route);

/*
 * Its parameters, for virTypedParamsFree(). FALSE when libvirt has no memory.
 */
gboolean vmf_options_get_params(const VmfOptions *options, const VmfRoute *route,
                                virTypedParameterPtr *ret_params, int *ret_n);

/* Manager.Check's. */
typedef struct {
    char *dname;
    char *xml;
    gboolean tls;
    gboolean postcopy;
    char **force;
} VmfCheckOptions;

/* Errors: INVALID_ARGUMENT. */
VmfCheckOptions *vmf_check_options_parse(GVariant *dict, GError **error);
void vmf_check_options_free(VmfCheckOptions *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfCheckOptions, vmf_check_options_free)
