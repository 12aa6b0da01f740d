/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "base/error.h"
#include "ctl/ctl.h"
#include "ctl/policy.h"
#include "xml/policy.h"

/* The file's policies added to `rules`; FALSE after having said what is wrong. */
static gboolean
vmf_policy_check_file(const char *path, GPtrArray *rules)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    GPtrArray *found = NULL;

    if (g_file_get_contents(path, &text, NULL, &error))
        found = vmf_policy_file_parse(text, path, &error);
    if (found) {
        g_ptr_array_extend_and_steal(rules, found);
        return TRUE;
    }
    fprintf(stderr, "vmferry: %s\n", error->message);
    return FALSE;
}

static gboolean
vmf_policy_check_guest(GPtrArray *rules, const VmfPolicyQuestion *question)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfPolicySubject) subject = NULL;
    g_autoptr(VmfChosenPolicy) chosen = NULL;
    g_autoptr(GVariant) variant = NULL;

    if (g_file_get_contents(question->guest, &text, NULL, &error))
        subject = vmf_policy_subject_new(text, question->peer, !question->incoming, &error);
    if (!subject) {
        fprintf(stderr, "vmferry: %s\n", error->message);
        return FALSE;
    }
    chosen = vmf_policy_choose(rules, subject);
    variant = g_variant_ref_sink(vmf_chosen_policy_to_variant(chosen));
    vmf_policy_print(variant, question->json);
    return TRUE;
}

int
vmf_policy_check(char **files, const VmfPolicyQuestion *question)
{
    g_autoptr(GPtrArray) rules = g_ptr_array_new();
    gboolean good = TRUE;

    (void)vmf_error_quark();
    for (char **file = files; *file; file++)
        good &= vmf_policy_check_file(*file, rules);
    if (good && question->guest)
        good = vmf_policy_check_guest(rules, question);
    return good ? VMF_EXIT_OK : VMF_EXIT_FAILED;
}
