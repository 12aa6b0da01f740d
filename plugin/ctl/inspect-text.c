/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect-text.h"

#include <stdio.h>
#include <string.h>

#include "stream/values.h"

#define BYTES_SHOWN 16
#define INDENT 2

static void
print_size(const char *label, uint64_t size)
{
    g_autofree char *text = g_format_size_full(size, G_FORMAT_SIZE_IEC_UNITS);

    if (size < 1024)
        printf("%-14s %s\n", label, text); /* in bytes already */
    else
        printf("%-14s %s (%" G_GUINT64_FORMAT " bytes)\n", label, text, size);
}

/* Names come from outside: nothing may reach the terminal as a command. */
static char *
printable(const char *name)
{
    g_autofree char *valid = g_utf8_make_valid(name, -1);

    return g_strescape(valid, NULL);
}

static void
print_image(const VmfImage *image)
{
    printf("%-14s libvirt, version %u, %s, guest %s%s\n", "Save image", image->version,
           vmf_image_compression_name(image->compression),
           image->was_running ? "was running" : "was paused",
           image->partial ? ", NOT COMPLETE" : "");
}

static void
print_commands(const VmfSurveyFacts *facts)
{
    const char *separator = "";

    printf("%-14s ", "Commands");
    for (guint i = 1; i < G_N_ELEMENTS(facts->commands); i++) {
        if (facts->commands[i] == 0)
            continue;
        printf("%s%s", separator, vmf_command_name((VmfCommand)i));
        if (facts->commands[i] > 1)
            printf(" (%" G_GUINT64_FORMAT ")", facts->commands[i]);
        separator = ", ";
    }
    printf("%s\n", *separator ? "" : "none");
}

static void
print_head(const VmfSurveyFacts *facts, const VmfImage *image)
{
    g_autofree char *machine = facts->machine ? printable(facts->machine) : NULL;

    if (image)
        print_image(image);
    printf("%-14s %s connection", "Stream", vmf_inspect_connection_name(facts->connection));
    if (facts->version)
        printf(", version %u", facts->version);
    printf("%s\n", facts->version && !facts->footers ? ", without footers" : "");
    print_size("Size", facts->size);
    if (facts->version)
        printf("%-14s %s\n", "Machine type", machine ? machine : "not named (2.3 or older)");
    printf("%-14s ", "Capabilities");
    if (!facts->version)
        printf("told on the main connection");
    for (guint i = 0; i < facts->capabilities->len; i++) {
        g_autofree char *name = printable(facts->capabilities->pdata[i]);

        printf("%s%s", i ? ", " : "", name);
    }
    printf("%s\n", facts->capabilities->len || !facts->version ? "" : "none announced");
    print_commands(facts);
    if (!facts->version)
        return; /* the rest is told on the main connection */
    if (facts->bitmap_chunks)
        printf("%-14s %" G_GUINT64_FORMAT " chunks\n", "Dirty bitmaps", facts->bitmap_chunks);
    if (facts->block_chunks)
        printf("%-14s %" G_GUINT64_FORMAT " chunks\n", "Disks", facts->block_chunks);
    if (facts->description)
        printf("%-14s %u devices, %" G_GSIZE_FORMAT " bytes of JSON\n", "Description",
               vmf_description_devices(facts->description), facts->description_size);
    else
        printf("%-14s none; device values cannot be shown\n", "Description");
    if (facts->state_dropped)
        printf("%-14s more than %u MiB of device state; the rest is not shown\n", "",
               VMF_SURVEY_STATE_MAX >> 20);
}

/* Of a RAM block; further connections do not say. */
static char *
format_length(uint64_t length)
{
    return length ? g_format_size_full(length, G_FORMAT_SIZE_IEC_UNITS) : g_strdup("?");
}

static void
print_ram(const VmfSurveyFacts *facts)
{
    uint64_t pages[VMF_PAGE_KINDS] = {0};
    uint64_t total = 0;
    g_autofree char *all = NULL;

    printf("\n%-40s %12s", "RAM block", "size");
    for (int kind = 0; kind < VMF_PAGE_KINDS; kind++)
        printf(" %10s", vmf_page_kind_name((VmfPageKind)kind));
    printf("\n");
    for (guint i = 0; i < facts->blocks->len; i++) {
        const VmfSurveyBlock *block = facts->blocks->pdata[i];
        g_autofree char *name = printable(block->block->name);
        g_autofree char *size = format_length(block->block->length);

        printf("%-40s %12s", name, size);
        for (int kind = 0; kind < VMF_PAGE_KINDS; kind++) {
            printf(" %10" G_GUINT64_FORMAT, block->pages[kind]);
            pages[kind] += block->pages[kind];
        }
        total += block->block->length;
        printf("\n");
    }
    all = format_length(total);
    printf("%-40s %12s", "all", all);
    for (int kind = 0; kind < VMF_PAGE_KINDS; kind++)
        printf(" %10" G_GUINT64_FORMAT, pages[kind]);
    printf("\n");
}

static void
print_sections(const VmfSurveyFacts *facts)
{
    printf("\n%5s %-36s %8s %7s %12s %14s %6s  %s\n", "id", "section", "instance", "version",
           "size", "offset", "parts", "end known by");
    for (guint i = 0; i < facts->sections->len; i++) {
        const VmfSurveySection *section = facts->sections->pdata[i];
        g_autofree char *name = printable(section->what.name);

        printf("%5u %-36s %8u %7u %12" G_GUINT64_FORMAT " %14" G_GUINT64_FORMAT
               " %6" G_GUINT64_FORMAT "  %s%s\n",
               section->what.id, name, section->what.instance, section->what.version, section->size,
               section->offset, section->parts, vmf_inspect_extent_name(section->extent),
               section->in_package ? ", packaged" : "");
    }
}

/* Walking state: equal values in a row inside an array are folded. */
typedef struct {
    guint depth;
    guint64 index[VMF_JSON_DEPTH + 1]; /* in the array at that depth */
    gboolean in_array[VMF_JSON_DEPTH + 1];
    GString *last; /* value printed last in this array */
    guint64 repeated;
} Print;

static void
format_bytes(GString *to, const uint8_t *bytes, uint64_t length)
{
    for (uint64_t i = 0; i < MIN(length, BYTES_SHOWN); i++)
        g_string_append_printf(to, "%s%02x", i ? " " : "", bytes[i]);
    if (length > BYTES_SHOWN)
        g_string_append_printf(to, " ... (%" G_GUINT64_FORMAT " bytes)", length);
}

static void
format_value(GString *to, const VmfValue *value)
{
    switch (value->kind) {
    case VMF_VALUE_BOOL:
        g_string_append(to, value->number ? "true" : "false");
        break;
    case VMF_VALUE_UNSIGNED:
        g_string_append_printf(to, "%" G_GUINT64_FORMAT " (0x%" G_GINT64_MODIFIER "x)",
                               value->number, value->number);
        break;
    case VMF_VALUE_SIGNED:
        g_string_append_printf(to, "%" G_GINT64_FORMAT " (0x", (gint64)value->number);
        for (uint64_t i = 0; i < value->length; i++)
            g_string_append_printf(to, "%02x", value->bytes[i]);
        g_string_append_c(to, ')');
        break;
    default:
        format_bytes(to, value->bytes, value->length);
        break;
    }
}

static void
flush_repeated(Print *print)
{
    if (print->repeated > 0)
        printf("%*s... %" G_GUINT64_FORMAT " more the same\n", (int)(INDENT * print->depth), "",
               print->repeated);
    print->repeated = 0;
}

static void
print_label(Print *print, const char *name)
{
    g_autofree char *text = name ? printable(name) : NULL;

    if (text)
        printf("%*s%s", (int)(INDENT * print->depth), "", text);
    else
        printf("%*s[%" G_GUINT64_FORMAT "]", (int)(INDENT * print->depth), "",
               print->index[print->depth]++);
}

static void
print_value(const char *name, const VmfValue *value, gpointer user_data)
{
    Print *print = user_data;
    g_autoptr(GString) text = g_string_new(NULL);

    if (value->kind == VMF_VALUE_UNUSED)
        return;
    format_value(text, value);
    if (!name && print->index[print->depth] > 0 && g_string_equal(text, print->last)) {
        print->repeated++;
        print->index[print->depth]++;
        return;
    }
    flush_repeated(print);
    print_label(print, name);
    printf(" = %s\n", text->str);
    g_string_assign(print->last, text->str);
}

static void
print_begin(VmfGroup group, const char *name, const uint8_t *bytes, uint64_t length,
            gpointer user_data)
{
    Print *print = user_data;

    flush_repeated(print);
    print_label(print, name);
    printf("%s\n", group == VMF_GROUP_SUBSECTION ? " (subsection):" : ":");
    print->depth = MIN(print->depth + 1, VMF_JSON_DEPTH);
    print->index[print->depth] = 0;
    g_string_truncate(print->last, 0);
}

static void
print_end(VmfGroup group, gpointer user_data)
{
    Print *print = user_data;

    flush_repeated(print);
    print->depth--;
}

static void
print_device(const VmfSurvey *survey, const VmfSurveySection *section)
{
    static const VmfValueVisitor visitor = {print_begin, print_end, print_value};
    Print print = {.depth = 1, .last = g_string_new(NULL)};
    g_autofree char *name = printable(section->what.name);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = vmf_survey_state(survey, section, &error);

    printf("\n%s, instance %u, version %u\n", name, section->what.instance, section->what.version);
    if (bytes) {
        gsize length;
        const uint8_t *state = g_bytes_get_data(bytes, &length);

        vmf_values_walk(section->device->state, state, length, &visitor, &print, &error);
    }
    if (error)
        printf("  (%s)\n", error->message);
    g_string_free(print.last, TRUE);
}

static gboolean
print_devices(const VmfSurvey *survey, const char *name)
{
    const VmfSurveyFacts *facts = vmf_survey_facts(survey);
    gboolean found = FALSE;

    for (guint i = 0; i < facts->sections->len; i++) {
        const VmfSurveySection *section = facts->sections->pdata[i];

        if (!section->device || strcmp(section->what.name, name) != 0)
            continue;
        print_device(survey, section);
        found = TRUE;
    }
    return found;
}

static void
print_channel(const VmfChannelFacts *facts)
{
    const char *separator = "";

    printf("%-14s multifd connection", "Stream");
    if (facts->named)
        printf(", channel %u", facts->channel);
    printf("\n");
    print_size("Size", facts->size);
    printf("%-14s %" G_GUINT64_FORMAT " with pages, %" G_GUINT64_FORMAT " that sync\n", "Packets",
           facts->packets, facts->syncs);
    printf("%-14s ", "Compression");
    for (int method = 0; method < VMF_MULTIFD_METHODS; method++) {
        if (facts->methods[method] == 0)
            continue;
        printf("%s%s", separator, vmf_multifd_method_name((VmfMultifdMethod)method));
        separator = ", ";
    }
    printf("%s%s\n", *separator ? "" : "not told",
           facts->undecoded ? ", which is not decoded" : "");
    print_size("Pages take", facts->payload);
    if (facts->device_packets)
        printf("%-14s %" G_GUINT64_FORMAT " packets, %" G_GUINT64_FORMAT " bytes\n", "Device state",
               facts->device_packets, facts->device_bytes);
    printf("\n%-40s %10s %10s\n", "RAM block", "zero", "whole");
    for (guint i = 0; i < facts->blocks->len; i++) {
        const VmfChannelBlock *block = facts->blocks->pdata[i];
        g_autofree char *name = printable(block->name);

        printf("%-40s %10" G_GUINT64_FORMAT " %10" G_GUINT64_FORMAT "\n", name, block->zero,
               block->normal);
    }
}

gboolean
vmf_inspect_print_text(const VmfInspection *inspection, const VmfInspectParts *parts)
{
    const VmfSurveyFacts *facts;

    if (inspection->channel) {
        print_channel(vmf_channel_survey_facts(inspection->channel));
        return parts->device == NULL;
    }
    if (parts->device && !parts->ram && !parts->sections)
        return print_devices(inspection->survey, parts->device);
    facts = vmf_survey_facts(inspection->survey);
    print_head(facts, vmf_source_image(inspection->source));
    if (parts->ram || !parts->sections)
        print_ram(facts);
    if (facts->sections->len > 0 && (parts->sections || !parts->ram))
        print_sections(facts);
    return !parts->device || print_devices(inspection->survey, parts->device);
}
