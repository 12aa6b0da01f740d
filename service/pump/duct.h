/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bounded queue of slices from one thread to the next one. It is full when it holds `limit`
 * bytes, whatever the slices' size, and takes a slice as long as it is not.
 *
 * The giver may be a thread that waits (vmf_duct_push()) or a main loop that asks for room first;
 * likewise the taker (vmf_duct_pop(), vmf_duct_try_pop()). `stirred` is called, from the thread
 * that did it, when an empty duct got something, a full one has room again, or it ended: what a
 * main loop on either side waits for. It must not call the duct.
 *
 * Threads: one giver and one taker; close, end and the counts from any.
 */
#pragma once

#include "link/chunk.h"

typedef struct VmfDuct VmfDuct;

typedef struct {
    VmfSlice bytes; /* chunk NULL: none */
    gboolean packed;
    gboolean tail; /* the state of devices begins with it */
} VmfParcel;

typedef enum {
    VMF_DUCT_PARCEL,
    VMF_DUCT_EMPTY, /* for now */
    VMF_DUCT_OVER,  /* ended and empty, or closed */
} VmfDuctAnswer;

/* stirred: NULL: nobody needs to be told. */
VmfDuct *vmf_duct_new(gsize limit, void (*stirred)(gpointer owner), gpointer owner);

/* When neither side uses it any more. */
void vmf_duct_free(VmfDuct *duct);

/* From any thread. What is in it stays, even if it is more. */
void vmf_duct_set_limit(VmfDuct *duct, gsize limit);

/* Takes the reference. Waits while it is full; FALSE: it was closed, and the bytes are dropped. */
gboolean vmf_duct_push(VmfDuct *duct, const VmfParcel *parcel);

/* The same without waiting, full or not. */
void vmf_duct_add(VmfDuct *duct, const VmfParcel *parcel);

/* Nothing follows. */
void vmf_duct_end(VmfDuct *duct);

/* wait: until there is something. The reference is the caller's. */
VmfDuctAnswer vmf_duct_pop(VmfDuct *duct, gboolean wait, VmfParcel *ret);

/* Drops what is in it; from now on it is over for both sides. */
void vmf_duct_close(VmfDuct *duct);

/* Nothing is in it, and its taker has done with what was and waits. */
gboolean vmf_duct_is_idle(VmfDuct *duct);

/* From now on `stirred` is also called when it becomes idle. */
void vmf_duct_watch_idle(VmfDuct *duct);

/* Bytes in it; its limit; bytes that it takes before it is full. */
gsize vmf_duct_held(VmfDuct *duct);
gsize vmf_duct_limit(VmfDuct *duct);
gsize vmf_duct_room(VmfDuct *duct);
