/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an emulator binary of this host can do, asked through its monitor.
 *
 * A binary that is missing, ends, hangs or talks nonsense is a result, not an error: `problem`
 * says so. The functions that run it block, for half a second or, with a broken one, up to
 * VMF_EMULATOR_PATIENCE: worker threads. Plain data otherwise, immutable once made.
 * `user`: who the emulator becomes, when this process is root.
 */
#pragma once

#include "probe/child.h"

#define VMF_EMULATOR_PATIENCE 10000 /* ms */

typedef struct {
    char *name;          /* e.g. pc-i440fx-7.2 */
    char *alias;         /* e.g. pc, or "" */
    gboolean deprecated; /* it will be removed */
} VmfMachine;

typedef struct {
    char *path;
    guint64 size;  /* bytes */
    gint64 mtime;  /* ns since the epoch */
    char *problem; /* NULL: it answers; otherwise vmf_probe_error_name(), and why: */
    char *message;
    guint32 version;     /* 7.2.22 is 7002022 */
    char *package;       /* what the distributor adds to that */
    char **capabilities; /* of migration */
    char **parameters;   /* of migration */
    char **compressions; /* of its parallel connections: "none", "zlib", ... */
    GPtrArray *machines; /* VmfMachine */
    char **types;        /* of devices that it can make */
} VmfEmulator;

VmfEmulator *vmf_emulator_probe(const char *path, const char *user);
void vmf_emulator_free(VmfEmulator *emulator);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfEmulator, vmf_emulator_free)

/* The machine of that name or alias, or NULL. */
const VmfMachine *vmf_emulator_find_machine(const VmfEmulator *emulator, const char *name);

gboolean vmf_emulator_has_type(const VmfEmulator *emulator, const char *type);

/*
 * -dump-vmstate for a machine type: JSON, not parsed yet.
 * Errors: VMF_PROBE_ERROR, VMF_ERROR_INVALID_ARGUMENT (no machine type's name).
 */
GBytes *vmf_emulator_dump(const char *path, const char *machine, const char *user, GError **error);

/*
 * The types of all objects that a machine has before any device is added: `machine` is its name,
 * maybe followed by properties ("pc,hpet=off"). Errors: as above.
 */
char **vmf_emulator_builtins(const char *path, const char *machine, const char *user,
                             GError **error);

/*
 * The names of the properties that devices of these types have: type -> GStrv, without types that
 * cannot be asked. Errors: VMF_PROBE_ERROR.
 */
GHashTable *vmf_emulator_properties(const char *path, const char *const *types, const char *user,
                                    GError **error);

/* "a{sv}", floating; for the cache and for peers. `types` can be left out: they are many. */
#define VMF_EMULATOR_FORMAT "a{sv}"
GVariant *vmf_emulator_to_variant(const VmfEmulator *emulator, gboolean with_types);

/* Whatever it is: what is missing or of another type is empty. NULL without a path. */
VmfEmulator *vmf_emulator_from_variant(GVariant *variant);
