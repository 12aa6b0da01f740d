/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what on the bus. Properties and plans are for everybody. The rest is for root (and for
 * the user the daemon runs as, which in a test is not root), and for whom polkit allows it, where
 * there is a polkit on the bus; it may ask for a password when the caller's message allows that.
 * Default deny: without polkit, or when it does not answer. Main loop; asynchronous.
 *
 * Specified by: data/org.vmferry1.policy (the actions), the polkit reference manual,
 * org.freedesktop.PolicyKit1.Authority.CheckAuthorization.
 */
#pragma once

#include <gio/gio.h>

typedef enum {
    VMF_RIGHT_READ,      /* what takes work to tell: check a move, inspect a stream */
    VMF_RIGHT_MIGRATE,   /* start migrations, and change their settings */
    VMF_RIGHT_CANCEL,    /* end them */
    VMF_RIGHT_CONFIGURE, /* capture, maintenance, policies, connections to peers */
    VMF_RIGHT_ROOT,      /* no action of polkit's: root alone */
} VmfRight;

/*
 * Called when it is known that the caller may; owns `invocation` from then on. When the caller may
 * not, the invocation is answered with VMF_ERROR_NOT_AUTHORIZED and `free_data` called instead.
 */
typedef void (*VmfAuthorized)(GDBusMethodInvocation *invocation, gpointer data);

void vmf_authority_check(GDBusMethodInvocation *invocation, VmfRight right,
                         VmfAuthorized callback, gpointer data, GDestroyNotify free_data);
