/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policy files (vmferry-policy(5), policy.rng), the wishes that a guest carries in its <metadata>,
 * and which policy holds for whom.
 *
 * Reading is strict: what is not known, given twice or out of range is an error that says
 * "FILE:LINE: what is wrong and what would be right", VMF_ERROR_BAD_CONFIGURATION. No network, no
 * document types. Files are the caller's to read. Pure; any thread.
 */
#pragma once

#include "policy/policy.h"

/* Of a guest's wishes: <vmferry:policy xmlns:vmferry="..."> below <metadata>. */
#define VMF_WISHES_NAMESPACE "https://vmferry.org/xmlns/policy/1"

/* One <policy>: whom it is for, and what it says. */
typedef struct VmfPolicyRule VmfPolicyRule;

/*
 * The policies of a file's text, in its order: a GPtrArray that owns VmfPolicyRules. `file` is for
 * messages.
 */
GPtrArray *vmf_policy_file_parse(const char *text, const char *file, GError **error);

const char *vmf_policy_rule_get_name(const VmfPolicyRule *rule);

/* Who migrates where. */
typedef struct VmfPolicySubject VmfPolicySubject;

/* `peer` may be NULL: not known. Errors: INVALID_ARGUMENT when the domain XML cannot be read. */
VmfPolicySubject *vmf_policy_subject_new(const char *domain_xml, const char *peer,
                                         gboolean outgoing, GError **error);
void vmf_policy_subject_set_peer(VmfPolicySubject *subject, const char *peer);
void vmf_policy_subject_free(VmfPolicySubject *subject);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPolicySubject, vmf_policy_subject_free)

gboolean vmf_policy_rule_matches(const VmfPolicyRule *rule, const VmfPolicySubject *subject);

/* What holds for a subject. */
typedef struct {
    VmfPolicy policy;
    char *name;      /* policy.name points here */
    char *file;      /* NULL: the preset that holds when no file has one */
    gboolean wishes; /* the guest has some, and they were heeded */
    char *problem;   /* why its wishes were not heeded, or NULL */
} VmfChosenPolicy;

/* The first of `rules` (VmfPolicyRule, may be empty) that matches, narrowed by the guest's wishes.
 */
VmfChosenPolicy *vmf_policy_choose(const GPtrArray *rules, const VmfPolicySubject *subject);
void vmf_chosen_policy_free(VmfChosenPolicy *chosen);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfChosenPolicy, vmf_chosen_policy_free)

/*
 * As a{sv}, floating: "name", "file" ("": built in), "problem" (s), "wishes" (b), and "values", the
 * list of (ss) that vmf_policy_describe() makes.
 */
GVariant *vmf_chosen_policy_to_variant(const VmfChosenPolicy *chosen);

/* Name and value of every member in the words of the file format: an array of char *, in pairs. */
GPtrArray *vmf_policy_describe(const VmfPolicy *policy);
