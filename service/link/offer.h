/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An offer: what one side can do, wants and refuses, of the features in features.h.
 *
 * On the control link it is a(suussasa{sv}): for each feature that the side knows its name, the
 * oldest and the newest version it speaks, its stand ("off", "offered", "required"), why (if it is
 * not "offered"), the features it needs, and the side's values of its parameters. Rows that the
 * receiver does not know stay in the offer: they are reported, and end the talk if required.
 *
 * An offer is made from a table and changed by who makes it; once encoded it must not change any
 * more. Plain data: one thread at a time. Strings are the offer's.
 */
#pragma once

#include "link/features.h"

#define VMF_OFFER_TYPE G_VARIANT_TYPE("a(suussasa{sv})")

/* Of what another host sends: more is refused. */
#define VMF_OFFER_ROWS_MAX 64
#define VMF_OFFER_BYTES_MAX 65536

typedef struct {
    char *name;
    guint oldest;
    guint newest;
    VmfStand stand;
    char *why; /* "" for VMF_STAND_OFFERED */
    GStrv needs;
    GVariant *parameters; /* a{sv} */
} VmfOfferRow;

typedef struct VmfOffer VmfOffer;

/* Everything that is in the table, as it stands there. */
VmfOffer *vmf_offer_new(const VmfFeatureTable *table);
void vmf_offer_free(VmfOffer *offer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfOffer, vmf_offer_free)

/*
 * Takes part no more in a feature of the table. `why`: which setting, option or finding it comes
 * from; the first reason stays.
 */
void vmf_offer_refuse(VmfOffer *offer, const char *feature, const char *why);

/* Insists on a feature of the table. One that is refused stays so. */
void vmf_offer_require(VmfOffer *offer, const char *feature, const char *why);

/* This side's value of a parameter that is in the table. */
void vmf_offer_set_number(VmfOffer *offer, const char *feature, const char *parameter,
                          guint64 value);
void vmf_offer_set_strings(VmfOffer *offer, const char *feature, const char *parameter,
                           const char *const *value);

/* In order of names; NULL when the side does not know it. */
guint vmf_offer_get_size(const VmfOffer *offer);
const VmfOfferRow *vmf_offer_get(const VmfOffer *offer, guint i);
const VmfOfferRow *vmf_offer_find(const VmfOffer *offer, const char *feature);

/* For the control link; owned by the caller, not floating. The same each time. */
GVariant *vmf_offer_encode(const VmfOffer *offer);

/* From another host, of any type. Error: PROTOCOL, with what is wrong with it. */
VmfOffer *vmf_offer_decode(GVariant *variant, GError **error);
