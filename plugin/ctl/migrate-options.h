/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of vmferry migrate, and those of them that go to the daemon as Manager.Migrate's
 * a{sv}. The daemon checks what can be combined; only files and numbers are looked at here.
 */
#pragma once

#include <gio/gio.h>

typedef struct {
    gboolean json;
    gboolean quiet;

    /* for the daemon */
    char *engine;
    gboolean unencrypted;
    gboolean verify;
    int parallel;
    gboolean postcopy;
    gboolean postcopy_after_precopy;
    gboolean postcopy_resume;
    gboolean persistent;
    gboolean undefine_source;
    char *copy_storage;
    int bandwidth; /* MiB/s */
    int downtime;  /* ms */
    char *cache;   /* "256M" */
    gboolean no_delta;
    char *zstd; /* "auto", "off" or a level */
    char *native_compression;
    int timeout; /* s */
    char *on_timeout;
    char *dname;
    char *xml; /* a file's name */
    char **force;
} VmfMigrateOptions;

/* GOption's entries that fill `options`, ending with an empty one; g_free() them. */
GOptionEntry *vmf_migrate_options_entries(VmfMigrateOptions *options);

/* Floating. NULL and VMF_ERROR_INVALID_ARGUMENT for what cannot be meant. */
GVariant *vmf_migrate_options_to_dict(const VmfMigrateOptions *options, GError **error);

/* Puts a file's text into `dict` as "xml". NULL: there is none. Error: VMF_ERROR_INVALID_ARGUMENT.
 */
gboolean vmf_migrate_options_add_file(GVariantDict *dict, const char *path, GError **error);

void vmf_migrate_options_clear(VmfMigrateOptions *options);
