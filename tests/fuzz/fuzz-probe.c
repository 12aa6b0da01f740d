/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A line of a monitor, taken as the answer to each question; and any bytes as remembered facts. */
#include "fuzz.h"

#include "probe/emulator-answers.h"
#include "probe/emulator.h"
#include "probe/qmp.h"

typedef gboolean (*Answer)(JsonNode *node, GVariantDict *dict, GError **error);

static const Answer answers[] = {vmf_answer_version,      vmf_answer_machines,
                                 vmf_answer_capabilities, vmf_answer_parameters,
                                 vmf_answer_schema,       vmf_answer_types};

static void
take_as_answers(JsonNode *node)
{
    g_autoptr(GHashTable) children = vmf_answer_children(node, NULL);
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_autoptr(GVariant) facts = NULL;
    g_autoptr(VmfEmulator) emulator = NULL;

    g_variant_dict_insert(&dict, "path", "s", "/emulator");
    for (guint i = 0; i < G_N_ELEMENTS(answers); i++)
        answers[i](node, &dict, NULL);
    facts = g_variant_ref_sink(g_variant_dict_end(&dict));
    emulator = vmf_emulator_from_variant(facts);
    vmf_emulator_find_machine(emulator, "pc");
    vmf_emulator_has_type(emulator, "e1000");
}

static void
take_as_facts(const uint8_t *data, size_t length)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, length);
    g_autoptr(GVariant) facts = g_variant_ref_sink(
        g_variant_new_from_bytes(G_VARIANT_TYPE(VMF_EMULATOR_FORMAT), bytes, FALSE));
    g_autoptr(VmfEmulator) emulator = vmf_emulator_from_variant(facts);
    g_autoptr(GVariant) again = NULL;

    if (!emulator)
        return;
    vmf_emulator_find_machine(emulator, "pc");
    again = g_variant_ref_sink(vmf_emulator_to_variant(emulator, TRUE));
    g_assert_true(g_variant_is_normal_form(again));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    g_autoptr(JsonNode) node = vmf_qmp_parse((const char *)data, length, NULL);

    if (node)
        take_as_answers(node);
    take_as_facts(data, length);
    return 0;
}
