/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A data link in memory: link/wire.h without a socket, for what is above it. A program that has
 * memory-wire.c has this one in the place of the library's. What a side sends waits until it is
 * taken from here; the proof is as good as done.
 */
#pragma once

#include "link/wire.h"

/* Both have proved the secret: the mux says HELLO. */
void memory_wire_secure(VmfWire *wire);

/* At most `most` bytes, which the side sent, go to `taker`; bytes taken. */
typedef void (*MemoryWireTaker)(gpointer data, const uint8_t *bytes, gsize length);
gsize memory_wire_take(VmfWire *wire, gsize most, MemoryWireTaker taker, gpointer data);

/* Bytes that come to the side, in memory of their own. The mux may let go of the wire. */
void memory_wire_receive(VmfWire *wire, VmfChunkPool *pool, const uint8_t *bytes, gsize length);

/* It breaks: the mux lets go of it. */
void memory_wire_break(VmfWire *wire);
