/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what on the bus. Everybody may read; the rest is for root (and for the user the daemon
 * runs as, which in a test is not root). Default deny. Main loop; asynchronous.
 */
#pragma once

#include <gio/gio.h>

/*
 * Called when it is known that the caller may; owns `invocation` from then on. When the caller may
 * not, the invocation is answered with VMF_ERROR_NOT_AUTHORIZED and `free_data` called instead.
 */
typedef void (*VmfAuthorized)(GDBusMethodInvocation *invocation, gpointer data);

void vmf_authority_check(GDBusMethodInvocation *invocation, VmfAuthorized callback, gpointer data,
                         GDestroyNotify free_data);
