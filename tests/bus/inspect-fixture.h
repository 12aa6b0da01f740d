/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of Manager.Inspect and Manager.CheckState share: a host with the real
 * vmferry-inspect, descriptors to give it, and calls that stay under way. Every function fails the
 * test that calls it instead of returning an error.
 */
#pragma once

#include "fixture.h"

#include <gio/gunixfdlist.h>

#define VMF_AT_ONCE 2 /* Limits/Inspections */

typedef struct {
    VmfLab *lab;
    VmfHost *host;
} VmfInspecting;

/* A call that is under way; the error is the caller's once it is done. */
typedef struct {
    gboolean done;
    GError *error;
} VmfCall;

int vmf_inspecting_set_up(void **state);
int vmf_inspecting_tear_down(void **state);

/* A file without a name, at its begin; the caller closes it, as the next. */
int vmf_file_of(const void *bytes, gsize length);
int vmf_open_golden(const char *name);
char *vmf_golden_path(const char *name);

/* All that was written to a file, which is closed. */
char *vmf_text_in(int fd);

/* Takes both descriptors. */
GUnixFDList *vmf_fd_list_of(int first, int second);

/* Takes `input`; `output` stays. `options` is a{sv} as GVariant text, here and below. */
gboolean vmf_call_inspect(VmfHost *host, int input, int output, const char *options,
                          GError **error);

/* What Inspect wrote; the call must succeed. Takes `input`. */
char *vmf_inspect(VmfHost *host, int input, const char *options);

/* The call must fail by `name` with `words` in its message. Takes `input`. */
void vmf_assert_inspect_fails(VmfHost *host, int input, const char *options, const char *name,
                              const char *words);

/* Inspects a pipe, whose other end is returned, the caller's. */
int vmf_begin_inspect(VmfBusManager *manager, const char *options, VmfCall *call);
gboolean vmf_call_is_done(gpointer call);

/* Waits until the call is done; it must have failed so. */
void vmf_expect_end(VmfCall *call, const char *name, const char *words);

/* Fills the pipe with a save image of much XML, and waits until some of it was read. */
void vmf_wait_until_reading(int fd);

/* The one process that the daemon has. */
pid_t vmf_only_child(VmfHost *host);
