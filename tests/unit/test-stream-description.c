/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The vmdescription, the values it gives, and a survey of a whole stream. */
#include "stream-kit.h"

#include "stream/survey.h"
#include "stream/values.h"

#define DEVICE(rest)                                                                               \
    "{\"page_size\": 4096, \"devices\": [{\"name\": \"dev\", \"instance_id\": 0, " rest "}]}"
#define STATE(fields) DEVICE("\"vmsd_name\": \"dev\", \"version\": 3, \"fields\": [" fields "]")

static VmfDescription *
parse(const char *json)
{
    g_autoptr(GError) error = NULL;
    VmfDescription *description = vmf_description_parse(json, strlen(json), &error);

    if (error)
        fail_msg("%s", error->message);
    return description;
}

static void
on_begin(VmfGroup group, const char *name, const uint8_t *bytes, uint64_t length,
         gpointer user_data)
{
    g_string_append_printf(user_data, "%s%c", name ? name : "", "{<["[group]);
}

static void
on_end(VmfGroup group, gpointer user_data)
{
    g_string_append_printf(user_data, "%c ", "}>]"[group]);
}

static void
on_value(const char *name, const VmfValue *value, gpointer user_data)
{
    g_string_append_printf(user_data, "%s=%" G_GINT64_FORMAT "/%d ", name ? name : "",
                           value->kind <= VMF_VALUE_SIGNED ? (gint64)value->number : -99,
                           value->kind);
}

static char *
walk(const char *json, const void *bytes, gsize length, GError **error)
{
    static const VmfValueVisitor visitor = {on_begin, on_end, on_value};
    g_autoptr(VmfDescription) description = parse(json);
    GString *log = g_string_new(NULL);

    vmf_values_walk(vmf_description_device(description, 0)->state, bytes, length, &visitor, log,
                    error);
    return g_string_free(log, FALSE);
}

static void
test_values(void **state)
{
    static const char json[] =
        STATE("{\"name\": \"u\", \"type\": \"uint16\", \"size\": 2},"
              "{\"name\": \"i\", \"type\": \"int8\", \"size\": 1},"
              "{\"name\": \"b\", \"type\": \"bool\", \"size\": 1},"
              "{\"name\": \"raw\", \"type\": \"buffer\", \"size\": 3},"
              "{\"name\": \"a\", \"type\": \"uint8\", \"array_len\": 2, \"size\": 1},"
              "{\"name\": \"e\", \"index\": 0, \"type\": \"uint8\", \"size\": 1},"
              "{\"name\": \"e\", \"type\": \"uint8\", \"size\": 1},"
              "{\"name\": \"s\", \"type\": \"struct\", \"size\": 15, \"struct\": "
              "{\"vmsd_name\": \"in\", \"version\": 1, \"fields\": ["
              "{\"name\": \"t\", \"type\": \"timer\", \"size\": 8}], \"subsections\": ["
              "{\"vmsd_name\": \"x\", \"version\": 1, \"fields\": []}]}}");
    static const char bytes[] =
        "\1\2\xff\1raw\3\4\5\6\xff\xff\xff\xff\xff\xff\xff\xfe\5\1x\0\0\0\1";
    g_autoptr(GError) error = NULL;
    g_autofree char *log = walk(json, bytes, sizeof bytes - 1, &error);

    assert_null(error);
    assert_string_equal(log, "u=258/1 i=-1/2 b=1/0 raw=-99/3 a[=3/1 =4/1 ] e[=5/1 =6/1 ] "
                             "s{t=-2/2 x<> } ");
}

static void
test_values_that_do_not_fit(void **state)
{
    static const char json[] = STATE("{\"name\": \"u\", \"type\": \"uint16\", \"size\": 2}");
    g_autoptr(GError) shorter = NULL;
    g_autoptr(GError) longer = NULL;
    g_autofree char *one = walk(json, "\1", 1, &shorter);
    g_autofree char *three = walk(json, "\1\2\3", 3, &longer);

    assert_string_equal(shorter->message, "byte 0 of the device's state: expected the field \"u\"");
    assert_string_equal(longer->message,
                        "byte 2 of the device's state: expected the end of \"dev\"");
}

static void
test_refused(void **state)
{
    g_autofree char *bomb = g_strnfill(100000, '[');
    const char *const cases[] = {
        bomb,
        "at most 64 levels",
        "]",
        "balanced JSON",
        "{} /* [ */",
        "JSON without comments",
        "\xff",
        "JSON in UTF-8",
        "{",
        "JSON; ",
        "[]",
        "expected an object",
        "{\"devices\": []}",
        "a number \"page_size\"",
        "{\"page_size\": -1}",
        "a number \"page_size\"",
        "{\"page_size\": 1, \"devices\": 7}",
        "an array \"devices\"",
        "{\"page_size\": 1, \"devices\": [7]}",
        "objects in \"devices\"",
        DEVICE("\"vmsd_name\": 1, \"version\": 3"),
        "device \"dev\": expected a string",
        DEVICE("\"size\": 4, \"fields\": []"),
        "fields of 4 bytes",
        STATE("{\"name\": \"u\", \"type\": \"x\", \"size\": 9223372036854775807}"),
        "a size that can",
        STATE("{\"name\": \"u\", \"type\": \"x\", \"size\": 1048576, \"array_len\": 1048577}"),
        "a size that can",
        STATE("{\"name\": \"s\", \"type\": \"struct\", \"size\": 4, \"struct\": "
              "{\"vmsd_name\": \"in\", \"version\": 1, \"fields\": []}}"),
        "0 bytes of struct in field \"s\" of 4",
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i += 2) {
        g_autoptr(GError) error = NULL;

        assert_null(vmf_description_parse(cases[i], strlen(cases[i]), &error));
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_BAD_STREAM));
        if (!strstr(error->message, cases[i + 1]))
            fail_msg("\"%s\" is not in \"%s\"", cases[i + 1], error->message);
    }
}

static void
test_found_behind_noise(void **state)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    gsize at, length;

    kit_bytes(bytes, "\0\6\0\0\0\2no\0\6\xff\xff\xff\xff{\"\0\6\0\0\0\2{\"", 25);
    assert_false(vmf_description_find(bytes->data, bytes->len, &at, &length));
    kit_bytes(bytes, "\0\6\0\0\0\7{\"a\":1}trailer", 20);
    assert_true(vmf_description_find(bytes->data, bytes->len, &at, &length));
    assert_int_equal(length, 7);
    assert_memory_equal(bytes->data + at, "{\"a\":1}", 7);
    assert_false(vmf_description_find(NULL, 0, &at, &length));
}

/* The whole way of `inspect`, in small pieces: sizes and values are known at the end only. */
static void
test_survey(void **state)
{
    static const char json[] = STATE("{\"name\": \"u\", \"type\": \"uint32\", \"size\": 4}");
    g_autoptr(VmfSurvey) survey = vmf_survey_new(VMF_CONNECTION_MAIN);
    const VmfSurveyFacts *facts = vmf_survey_facts(survey);
    g_autoptr(GByteArray) bytes = kit_whole();
    const VmfSurveySection *section;
    const VmfSurveyBlock *block;

    kit_number(bytes, 6, 1);
    kit_number(bytes, strlen(json), 4);
    kit_bytes(bytes, json, strlen(json));
    for (guint i = 0; i < bytes->len; i += 5)
        assert_true(vmf_survey_put(survey, bytes->data + i, MIN(5, bytes->len - i), NULL));
    assert_true(vmf_survey_end(survey, NULL));
    assert_string_equal(facts->machine, "pc");
    assert_int_equal(facts->size, bytes->len);
    assert_true(facts->eof);
    assert_true(facts->footers);
    assert_int_equal(facts->description_size, strlen(json));
    assert_int_equal(facts->blocks->len, 1);
    block = facts->blocks->pdata[0];
    assert_int_equal(block->pages[VMF_PAGE_ZERO], 1);
    assert_int_equal(block->pages[VMF_PAGE_WHOLE], 1);
    assert_int_equal(block->bytes, 14 + 8 + KIT_PAGE);
    assert_int_equal(facts->sections->len, 2);
    section = facts->sections->pdata[0];
    assert_int_equal(section->parts, 2);
    section = facts->sections->pdata[1];
    assert_string_equal(section->what.name, "dev");
    assert_int_equal(section->extent, VMF_EXTENT_DESCRIBED);
    assert_int_equal(section->size, 26);
    assert_memory_equal(section->kept->data, "\1\2\3\4", 4);
    assert_string_equal(section->device->name, "dev");
}

static void
test_survey_without_description(void **state)
{
    g_autoptr(VmfSurvey) survey = vmf_survey_new(VMF_CONNECTION_MAIN);
    const VmfSurveyFacts *facts = vmf_survey_facts(survey);
    g_autoptr(GByteArray) bytes = kit_whole();
    const VmfSurveySection *section;

    assert_true(vmf_survey_put(survey, bytes->data, bytes->len, NULL));
    assert_true(vmf_survey_end(survey, NULL));
    assert_null(facts->description);
    section = facts->sections->pdata[1];
    assert_int_equal(section->extent, VMF_EXTENT_SCANNED);
    assert_null(section->device);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),  cmocka_unit_test(test_values_that_do_not_fit),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_found_behind_noise),
        cmocka_unit_test(test_survey),  cmocka_unit_test(test_survey_without_description),
    };

    return cmocka_run_group_tests_name("stream-description", tests, NULL, NULL);
}
