/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What agreement.c (what it says) and agreement-talk.c (how it is found) share. See agreement.h. */
#pragma once

#include "link/agreement.h"

typedef struct {
    char *name;
    guint version;        /* 0: off */
    char *why;            /* that */
    const char *because;  /* of which feature that it needs, in the end; or NULL */
    GVariant *parameters; /* a{sv}, while it is on */
} VmfAgreed;

struct VmfAgreement {
    gatomicrefcount refs;
    char *migration;
    char *source;
    char *destination;
    gint64 time;
    GPtrArray *rows; /* of VmfAgreed, by name; owned */
    guint8 digest[VMF_AGREEMENT_DIGEST_SIZE];
};

/* Empty. */
VmfAgreement *vmf_agreement_alloc(const VmfAgreementTerms *terms);

/* NULL when no side knows the feature. */
VmfAgreed *vmf_agreement_lookup(const VmfAgreement *agreement, const char *feature);

/* What is on, a(sua{sv}); the caller's. */
GVariant *vmf_agreement_encode(const VmfAgreement *agreement);
