/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the observer asks libvirt about a guest: one short question at a time, in a thread.
 *
 * Ownership: a question belongs to its task; `done` gets it from g_task_get_task_data() and the
 * result from g_task_propagate_boolean(). Main loop.
 */
#pragma once

#include "daemon/daemon.h"

typedef enum {
    VMF_ASK_LOOK,   /* what the guest is: `xml`, `cache` */
    VMF_ASK_START,  /* begin a dirty-rate calculation of `seconds` */
    VMF_ASK_RESULT, /* `done`, and then `bytes` */
    VMF_ASK_CACHE,  /* give QEMU's cache the size `cache` */
} VmfAsk;

typedef struct {
    VmfAsk ask;
    char *uuid;
    char *uri;
    guint seconds;
    guint64 cache; /* bytes; 0: QEMU does not say */
    char *xml;
    gboolean done;
    guint64 bytes;
} VmfQuestion;

/* `value`: seconds of START and RESULT, bytes of CACHE. */
void vmf_question_ask(VmfDaemon *daemon, VmfAsk ask, const char *uuid, guint64 value,
                      GAsyncReadyCallback done, gpointer data);
