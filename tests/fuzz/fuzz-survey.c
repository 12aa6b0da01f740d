/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole stream as `inspect` reads it, with the description found at its end and all values. */
#include "fuzz.h"

#include "stream/survey.h"
#include "stream/values.h"

static void
on_begin(VmfGroup group, const char *name, const uint8_t *bytes, uint64_t length,
         gpointer user_data)
{
    int *depth = user_data;

    g_assert_cmpint(++*depth, <=, VMF_JSON_DEPTH);
}

static void
on_end(VmfGroup group, gpointer user_data)
{
    int *depth = user_data;

    --*depth;
}

static void
on_value(const char *name, const VmfValue *value, gpointer user_data)
{
    volatile uint8_t last = value->length > 0 ? value->bytes[value->length - 1] : 0;

    (void)last;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static const VmfValueVisitor visitor = {on_begin, on_end, on_value};
    g_autoptr(VmfSurvey) survey = vmf_survey_new(VMF_CONNECTION_MAIN);
    const VmfSurveyFacts *facts = vmf_survey_facts(survey);

    if (vmf_survey_put(survey, data, length, NULL))
        vmf_survey_end(survey, NULL);
    for (guint i = 0; i < facts->sections->len; i++) {
        const VmfSurveySection *section = facts->sections->pdata[i];
        int depth = 0;

        g_autoptr(GBytes) state = vmf_survey_state(survey, section, NULL);

        if (section->device && state)
            vmf_values_walk(section->device->state, g_bytes_get_data(state, NULL),
                            g_bytes_get_size(state), &visitor, &depth, NULL);
        g_assert_cmpint(depth, ==, 0);
    }
    return 0;
}
