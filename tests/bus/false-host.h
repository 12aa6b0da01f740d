/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A destination that is the test itself: with hostb's certificates it takes the control connection
 * of a daemon, and answers on it as a vmferryd would, or as the test wants. It takes no guest:
 * Prepare is refused as DomainExists.
 *
 * Main context; everything fails the calling test when it cannot be done.
 */
#pragma once

#include "fixture.h"

#include "link-bus.h"
#include "link/agreement.h"

typedef struct VmfFalseHost VmfFalseHost;

struct VmfFalseHost {
    VmfHost *as;
    VmfOffer *offer; /* NULL: everything; may be set */

    /* What Agree is answered with, a new reference, or NULL: it is not. May be set. */
    GVariant *(*answer)(VmfFalseHost *host, const char *id, GVariant *said, gpointer data);
    gpointer data;

    /* what came */
    GVariant *said; /* the latest Agree's offer; NULL: none */
    GDBusMethodInvocation *unanswered;
    guint prepared; /* Prepares */

    GSocket *listener;
    GDBusConnection *link;
    VmfBusLink *skeleton;
};

/* `as` is hostb, of which only the certificates are used; hosta is told of its port. */
VmfFalseHost *vmf_false_host_new(VmfHost *as, VmfHost *hosta, const char *more);
void vmf_false_host_free(VmfFalseHost *host);

/* Waits for the connection of a daemon. */
void vmf_false_host_accept(VmfFalseHost *host);

/* As a vmferryd would answer, to a source that it calls `source`. */
GVariant *vmf_false_host_answer(VmfFalseHost *host, const char *id, GVariant *said,
                                const char *source, const VmfOffer *offer);
