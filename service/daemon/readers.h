/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Those who read all objects at once (ObjectManager.GetManagedObjects): some of them are answered in
 * each turn of the main loop, and what they read is looked up once for them.
 *
 * With many migrations an answer takes a millisecond and a look some, and GDBus would look for each
 * and give all that are asked for in one turn, in which nothing else is done. A turn takes from
 * each caller one call before it takes a second. An answer is as things are when it is sent: never
 * older than a signal which its reader had before.
 * Made and freed on the main loop.
 */
#pragma once

#include <gio/gio.h>

typedef struct VmfReaders VmfReaders;

/* From now on it is this that answers for `objects`, which are exported on `bus`. */
VmfReaders *vmf_readers_new(GDBusConnection *bus, GDBusObjectManagerServer *objects);
void vmf_readers_free(VmfReaders *readers);
