/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agreement: what follows from the source's and the destination's offers.
 *
 * A pure function of the two offers, the same on both sides. A feature is on when both sides speak
 * a common version of it, neither refuses it and everything it needs is on; its version is the
 * newest common one, its parameters are combined by the table's rules. Everything else is off, and
 * why_off says why. A feature that is required and off ends the talk.
 *
 * An agreement is about one migration between two hosts, made at one time; its digest covers these
 * terms, both offers and the result, so that the two sides can tell that they mean the same, and
 * that nobody changed an offer since. It is good for VMF_AGREEMENT_LIFETIME.
 *
 * Reference-counted and never changed: any thread.
 */
#pragma once

#include "link/offer.h"

#define VMF_AGREEMENT_LIFETIME (60 * G_USEC_PER_SEC)
#define VMF_AGREEMENT_DIGEST_SIZE 32

/* What it is about; borrowed for the call. */
typedef struct {
    const char *migration;   /* its id; "" for what two hosts can do at all */
    const char *source;      /* certificate names */
    const char *destination; /* as the source knows it */
    gint64 time;             /* µs since the epoch, by the destination's clock */
} VmfAgreementTerms;

typedef struct VmfAgreement VmfAgreement;

/*
 * `table`: this program's, for the rules. Errors: FEATURE_MISSING with the feature's name and both
 * sides' versions; PROTOCOL for a parameter of the wrong type.
 */
VmfAgreement *vmf_agreement_new(const VmfFeatureTable *table, const VmfAgreementTerms *terms,
                                const VmfOffer *source, const VmfOffer *destination,
                                GError **error);
VmfAgreement *vmf_agreement_ref(VmfAgreement *agreement);
void vmf_agreement_unref(VmfAgreement *agreement);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfAgreement, vmf_agreement_unref)

/* The agreed version; 0: the feature is off. */
guint vmf_agreement_get_version(const VmfAgreement *agreement, const char *feature);
#define vmf_agreement_has(agreement, feature) (vmf_agreement_get_version(agreement, feature) > 0)

/* A combined parameter; 0 or NULL when the feature is off or the parameter was not agreed. */
guint64 vmf_agreement_get_number(const VmfAgreement *agreement, const char *feature,
                                 const char *parameter);
GStrv vmf_agreement_get_strings(const VmfAgreement *agreement, const char *feature,
                                const char *parameter);

/* NULL when it is on, or neither side knows it. */
const char *vmf_agreement_why_off(const VmfAgreement *agreement, const char *feature);

const char *vmf_agreement_get_migration(const VmfAgreement *agreement);
const char *vmf_agreement_get_source(const VmfAgreement *agreement);
const char *vmf_agreement_get_destination(const VmfAgreement *agreement);
gint64 vmf_agreement_get_time(const VmfAgreement *agreement);

/* SHA-256, VMF_AGREEMENT_DIGEST_SIZE bytes. */
const guint8 *vmf_agreement_get_digest(const VmfAgreement *agreement);

/* For people and the bus, a(susa{sv}): name, version or 0, why it is off or "", parameters;
 * in order of names. The caller's. */
GVariant *vmf_agreement_describe(const VmfAgreement *agreement);

/*
 * What vmf_agreement_describe() made, as an agreement again, for who has carried it so far; of no
 * use for a start, as it has no digest. Error: PROTOCOL (not of that type, or too large).
 */
VmfAgreement *vmf_agreement_restore(const VmfAgreementTerms *terms, GVariant *described,
                                    GError **error);
