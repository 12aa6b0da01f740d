/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What carries a migration, and why: chosen before the guest is touched.
 *
 * Pure functions; any thread.
 */
#pragma once

#include "daemon/config.h"
#include "daemon/options.h"

/*
 * The engine for a migration whose talk with the peer came to `talk` (NULL: an agreement), and in
 * `ret_reason`, the caller's, why it is that one. Where a pump at both hosts is not possible, and
 * nothing else is asked for or allowed, `talk` is the error, with what could be done.
 *
 * Errors: as `talk`; NOT_SUPPORTED, when the engine that was asked for is not allowed or cannot do
 * what else was asked for.
 */
gboolean vmf_engine_choose(const VmfConfig *config, const VmfPeerConfig *peer,
                           const VmfOptions *options, const GError *talk, VmfEngine *ret_engine,
                           char **ret_reason, GError **error);

/* Whether the engine needs an agreement; the others carry in the clear and on their own. */
gboolean vmf_engine_needs_peer(VmfEngine engine);

/*
 * VmfEngines that could carry it as far as can be told before the talk: a pump, and, where it may
 * go unencrypted, the others that have no obstacle.
 */
guint vmf_engine_get_possible(const VmfConfig *config, const VmfPeerConfig *peer,
                              const VmfOptions *options);

VmfEngine vmf_engine_from_bit(VmfEngines bit);

/* As in Migration.Engine. */
const char *vmf_engine_name(VmfEngine engine);
gboolean vmf_engine_from_name(const char *name, VmfEngine *ret);
