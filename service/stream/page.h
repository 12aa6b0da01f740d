/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a RAM record makes of its page. Pure; any thread.
 */
#pragma once

#include "stream/stream.h"

/*
 * `to` holds the page's content so far (needed for VMF_PAGE_XBZRLE only) and gets the new one.
 * Fails with VMF_ERROR_BAD_STREAM when a record does not decode to one page; `to` is spoiled then.
 */
gboolean vmf_page_apply(const VmfPage *page, uint8_t *to, size_t page_size, GError **error);
