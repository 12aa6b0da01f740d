/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading what a peer's daemon answered (org.vmferry1.Link). Pure; any thread. */
#pragma once

#include <glib.h>
#include <stdint.h>

/* Bytes of exactly that size. Fails with VMF_ERROR_PROTOCOL. */
gboolean vmf_link_answer_get(GVariant *dict, const char *name, uint8_t *ret, gsize size,
                             GError **error);
