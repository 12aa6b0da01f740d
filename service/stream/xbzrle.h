/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the reader needs of XBZRLE: whether a record stays inside its page, and what the page
 * becomes. (The codec that makes records is in delta/.)
 *
 * A record is { skip, store, `store` bytes } repeated; both are ULEB128 numbers of at most two
 * bytes, `store` is never 0, and `skip` is 0 only in the first pair. Pure functions, any thread.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

/* Are these runs well-formed and inside a page of `page_size` bytes? */
gboolean vmf_xbzrle_fits(const uint8_t *data, size_t length, size_t page_size);

/* Stores the runs into the page's previous content. FALSE, page spoiled: they do not fit. */
gboolean vmf_xbzrle_apply(const uint8_t *data, size_t length, uint8_t *page, size_t page_size);
