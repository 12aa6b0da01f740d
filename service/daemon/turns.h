/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What several callers wait for, taken from each of them in turn: who asks a hundred times does not
 * keep those waiting who ask once.
 *
 * It holds what is pushed until it is taken or the turns are freed. One thread at a time.
 */
#pragma once

#include <glib.h>

typedef struct VmfTurns VmfTurns;

/* `free_item`: for what was never taken. */
VmfTurns *vmf_turns_new(GDestroyNotify free_item);
void vmf_turns_free(VmfTurns *turns);

/* Of one caller, first in is first out. */
void vmf_turns_push(VmfTurns *turns, const char *caller, gpointer item);

/* The next one, which is then the taker's; NULL when nobody waits. */
gpointer vmf_turns_pop(VmfTurns *turns);
gboolean vmf_turns_are_over(VmfTurns *turns);
