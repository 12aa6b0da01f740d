/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A peer that is trusted and should not be: the test itself, with a host's good certificates, says
 * on the control link and over data connections what no vmferryd would.
 *
 * Everything fails the calling test when it cannot be done, but for what is said to give an error.
 */
#pragma once

#include "fixture.h"

#include "link/agreement.h"
#include "link/ticket.h"

#define VMF_IMPOSTOR_ID "01234567"
#define VMF_IMPOSTOR_UUID "55555555-5555-4555-8555-555555555555"
#define VMF_IMPOSTOR_GUEST "'name': <'web'>, 'uuid': <'" VMF_IMPOSTOR_UUID "'>"

/* A control link from `host`, of which only the certificates are used, to `to`, which is "hostb".
 * Close and unreference it. */
GDBusConnection *vmf_impostor_dial(VmfHost *host, VmfHost *to);

/* Likewise, and Hello is said. */
GDBusConnection *vmf_impostor_greet(VmfHost *host, VmfHost *to);

/* ---- two of them, and the daemon that they meet ---- */

typedef struct {
    VmfLab *lab;
    VmfHost *a; /* only its certificates: it is us */
    VmfHost *b; /* the one that is met; it has no guests */
    VmfHost *c; /* as hosta */
    GPtrArray *links;
} VmfImpostors;

/* hostb's daemon runs; `more` as for vmf_host_add_peer(), of its file for hosta. */
VmfImpostors *vmf_impostors_new(const char *more);

/* As vmf_impostor_dial() and vmf_impostor_greet() to hostb; the link is the fixture's. */
GDBusConnection *vmf_impostors_dial(VmfImpostors *impostors, VmfHost *host);
GDBusConnection *vmf_impostors_greet(VmfImpostors *impostors, VmfHost *host);

/* A teardown: nothing may be left at hostb. */
int vmf_impostors_tear_down(void **state);

/* ---- what is said ---- */

/* `arguments` is GVariant text; NULL is an error. */
GVariant *vmf_impostor_call(GDBusConnection *link, const char *method, const char *arguments,
                            GError **error);
void vmf_impostor_assert_answered(GDBusConnection *link, const char *method, const char *arguments);
void vmf_impostor_assert_refused(GDBusConnection *link, const char *method, const char *arguments,
                                 const char *name);

typedef struct {
    char *path; /* the caller's */
    uint8_t ticket[VMF_TICKET_ID_SIZE];
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
} VmfPrepared;

/*
 * Agree about a migration to `host`, with this offer: the answer, or NULL. The second takes an
 * offer of everything, and gives the arguments of a Prepare of VMF_IMPOSTOR_GUEST that refers to
 * it.
 */
GVariant *vmf_impostor_agree(GDBusConnection *link, const char *id, const char *host,
                             const VmfOffer *offer, GError **error);
char *vmf_impostor_agreed(GDBusConnection *link, const char *id, const char *host);

/* What an answer to Agree says of its digest, as text for Prepare: "'agreement': <...>". */
char *vmf_impostor_digest(GVariant *answer);

/* Agree and Prepare for VMF_IMPOSTOR_GUEST, as migration VMF_IMPOSTOR_ID. */
void vmf_impostor_prepare(GDBusConnection *link, VmfPrepared *ret);

/* A data connection that shows this ticket; NULL and the error if it is refused. */
GSocket *vmf_impostor_dial_data(VmfHost *to, const uint8_t *ticket, GError **error);
