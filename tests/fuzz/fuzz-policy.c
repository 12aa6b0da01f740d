/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A policy file; and a guest's XML with wishes in its <metadata>, which is all that a guest's owner
 * can say. A NUL parts the two; without one the input is taken as both.
 */
#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "xml/policy.h"

static const char rules_text[] = "<policies>"
                                 "<policy name='gold'><select><name>g*</name></select>"
                                 "<extends preset='always-converges'/></policy>"
                                 "<policy name='rest'><extends preset='balanced'/></policy>"
                                 "</policies>";

static void
describe(const VmfChosenPolicy *chosen)
{
    g_autoptr(GVariant) shown = g_variant_ref_sink(vmf_chosen_policy_to_variant(chosen));

    g_assert_true(g_variant_is_normal_form(shown));
    g_assert_nonnull(chosen->name);
    g_assert_true(!(chosen->wishes && chosen->problem));
}

static void
choose(const GPtrArray *rules, const VmfPolicySubject *subject)
{
    g_autoptr(VmfChosenPolicy) chosen = vmf_policy_choose(rules, subject);

    describe(chosen);
}

static void
take(const char *file, const char *domain)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) ours = vmf_policy_file_parse(rules_text, "ours", NULL);
    g_autoptr(GPtrArray) theirs = vmf_policy_file_parse(file, "theirs", &error);
    g_autoptr(VmfPolicySubject) subject = vmf_policy_subject_new(domain, "hostb", TRUE, NULL);

    g_assert_nonnull(ours);
    g_assert_true((theirs == NULL) == (error != NULL));
    if (error)
        g_assert_true(error->domain == VMF_ERROR && g_str_has_prefix(error->message, "theirs:"));
    if (!subject)
        return;
    choose(ours, subject);
    if (theirs)
        choose(theirs, subject);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    g_autofree char *text = g_strndup((const char *)data, length); /* and a NUL at the end */
    size_t first = strlen(text);

    take(text, first < length ? text + first + 1 : text);
    return 0;
}
