/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policies in force: the files of policies.d (vmferry-policy(5)), in the order of their names.
 *
 * A file with a mistake leaves the others, and its own last good version, in force. Reading is
 * short and local. Main loop.
 */
#pragma once

#include "xml/policy.h"

typedef struct VmfPolicies VmfPolicies;

/* Empty until it is reloaded. */
VmfPolicies *vmf_policies_new(const char *directory);
void vmf_policies_free(VmfPolicies *policies);

/* What is wrong with which file; empty if nothing. The caller's. Each is logged, too. */
char **vmf_policies_reload(VmfPolicies *policies);

/* Called after each reload; one listener, NULL: none. */
typedef void (*VmfPoliciesChanged)(gpointer data);
void vmf_policies_set_listener(VmfPolicies *policies, VmfPoliciesChanged changed, gpointer data);

/* What holds for a guest; `peer` NULL: not known. Error: INVALID_ARGUMENT (the XML). */
VmfChosenPolicy *vmf_policies_choose(VmfPolicies *policies, const char *domain_xml,
                                     const char *peer, gboolean outgoing, GError **error);

/* Likewise for a subject that is kept, on its way to a peer. */
VmfChosenPolicy *vmf_policies_choose_for(VmfPolicies *policies, VmfPolicySubject *subject,
                                         const char *peer);
