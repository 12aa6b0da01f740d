/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Somebody at a daemon's TCP port who is nobody there: raw bytes, as service/link/PROTOCOL.md has
 * them, or not. Everything fails the calling test when it cannot be done.
 */
#pragma once

#include "fixture.h"

#include "link/preface.h"

GSocket *vmf_stranger_dial(VmfHost *host);

void vmf_stranger_say(GSocket *socket, const void *data, gsize size);

/* A preface of version 1 with `count` of its bytes from `offset` on replaced. */
void vmf_stranger_say_preface(GSocket *socket, VmfLinkKind kind, gsize offset, const char *bytes,
                              gsize count);

/* All that comes until the other side hangs up, or `size` bytes; how many. */
gsize vmf_stranger_hear(GSocket *socket, void *data, gsize size);

void vmf_stranger_assert_hung_up(GSocket *socket);
void vmf_stranger_assert_answer(GSocket *socket, VmfAnswer status);
