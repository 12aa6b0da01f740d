/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files, pipes and save images as sources; an inspection of each. */
#include "stream-kit.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inspect/inspection.h"
#include "stream/image.h"

#define XML_LENGTH 1000

static const struct {
    VmfImageCompression compression;
    int filter;
} filters[] = {
    {VMF_IMAGE_RAW, ARCHIVE_FILTER_NONE},    {VMF_IMAGE_GZIP, ARCHIVE_FILTER_GZIP},
    {VMF_IMAGE_BZIP2, ARCHIVE_FILTER_BZIP2}, {VMF_IMAGE_XZ, ARCHIVE_FILTER_XZ},
    {VMF_IMAGE_ZSTD, ARCHIVE_FILTER_ZSTD},
};

/* Takes part of `bytes` into a file without a name. */
static int
make_file(const GByteArray *bytes, gsize length)
{
    int fd = memfd_create("source", MFD_CLOEXEC);

    assert_int_equal(write(fd, bytes->data, length), length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void
put_compressed(GByteArray *to, int filter, const GByteArray *stream)
{
    struct archive *archive = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    gsize size = stream->len + 65536, used = 0;
    g_autofree char *packed = g_malloc(size);

    archive_entry_set_pathname(entry, "stream");
    archive_entry_set_filetype(entry, AE_IFREG);
    assert_int_equal(archive_write_set_format_raw(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_add_filter(archive, filter), ARCHIVE_OK);
    assert_int_equal(archive_write_set_bytes_in_last_block(archive, 1), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(archive, packed, size, &used), ARCHIVE_OK);
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(archive, stream->data, stream->len), stream->len);
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    kit_bytes(to, packed, used);
    archive_write_free(archive);
    archive_entry_free(entry);
}

static GByteArray *
make_image(const char *magic, guint kind, const GByteArray *stream)
{
    const uint32_t fields[] = {2, XML_LENGTH, 1, filters[kind].compression, 0};
    GByteArray *image = g_byte_array_new();

    kit_bytes(image, magic, 16);
    kit_bytes(image, fields, sizeof fields);
    g_byte_array_set_size(image, VMF_IMAGE_HEADER_SIZE + XML_LENGTH);
    memset(image->data + 36, 0, image->len - 36);
    put_compressed(image, filters[kind].filter, stream);
    return image;
}

static VmfInspection *
inspect(int fd, GError **error)
{
    VmfSource *source = vmf_source_new(fd, error);
    VmfInspection *inspection = source ? vmf_inspection_new(source, error) : NULL;

    if (!inspection || vmf_inspection_run(inspection, NULL, NULL, error))
        return inspection;
    vmf_inspection_free(inspection);
    return NULL;
}

static void
test_every_compression(void **state)
{
    g_autoptr(GByteArray) stream = kit_whole();

    for (guint i = 0; i < G_N_ELEMENTS(filters); i++) {
        g_autoptr(GByteArray) image = make_image("LibvirtQemudSave", i, stream);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfInspection) inspection = inspect(make_file(image, image->len), &error);
        const VmfImage *found;

        if (!inspection)
            fail_msg("%s: %s", vmf_image_compression_name(filters[i].compression), error->message);
        found = vmf_source_image(inspection->source);
        assert_int_equal(found->compression, filters[i].compression);
        assert_int_equal(vmf_survey_facts(inspection->survey)->size, stream->len);
        assert_int_equal(vmf_survey_facts(inspection->survey)->sections->len, 2);
        assert_int_equal(vmf_source_size(inspection->source), image->len);
        assert_int_equal(vmf_source_position(inspection->source), image->len);
        assert_int_equal(vmf_source_can_fetch(inspection->source), i == 0);
    }
}

/* Cut anywhere, an image is an error that says so, whatever it is compressed with. */
static void
test_cut_images(void **state)
{
    g_autoptr(GByteArray) stream = kit_whole();

    for (guint i = 0; i < G_N_ELEMENTS(filters); i++) {
        g_autoptr(GByteArray) image = make_image("LibvirtQemudSave", i, stream);

        for (gsize length = 0; length < image->len; length++) {
            g_autoptr(GError) error = NULL;

            /* A stream whose last byte is missing looks like one without description. */
            if (i == 0 && length >= image->len - 1)
                break;
            assert_null(inspect(make_file(image, length), &error));
            assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_BAD_STREAM));
        }
    }
}

static void
test_damaged_images(void **state)
{
    g_autoptr(GByteArray) stream = kit_whole();

    for (guint i = 1; i < G_N_ELEMENTS(filters); i++) {
        g_autoptr(GByteArray) image = make_image("LibvirtQemudSave", i, stream);
        g_autoptr(GError) error = NULL;

        image->data[VMF_IMAGE_HEADER_SIZE + XML_LENGTH] ^= 0xff;
        assert_null(inspect(make_file(image, image->len), &error));
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_BAD_STREAM));
        assert_non_null(strstr(error->message, "damaged"));
        assert_non_null(strstr(error->message, vmf_image_compression_name(filters[i].compression)));
    }
}

static void
test_unfinished_image_is_named(void **state)
{
    g_autoptr(GByteArray) stream = kit_whole();
    g_autoptr(GByteArray) image = make_image("LibvirtQemudPart", 0, stream);
    g_autoptr(GError) error = NULL;

    assert_null(inspect(make_file(image, image->len - 30), &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_BAD_STREAM));
    assert_true(g_str_has_prefix(error->message, "libvirt did not finish this save image: offset"));
}

static void
test_fetch(void **state)
{
    g_autoptr(GByteArray) stream = kit_whole();
    g_autoptr(GByteArray) image = make_image("LibvirtQemudSave", 0, stream);
    g_autoptr(VmfSource) source = vmf_source_new(make_file(image, image->len), NULL);
    g_autoptr(GError) error = NULL;
    uint8_t bytes[8];

    assert_non_null(source);
    assert_true(vmf_source_fetch(0, bytes, 4, source, NULL));
    assert_memory_equal(bytes, "QEVM", 4);
    assert_true(vmf_source_fetch(stream->len - 8, bytes, 8, source, NULL));
    assert_memory_equal(bytes, stream->data + stream->len - 8, 8);
    assert_false(vmf_source_fetch(stream->len - 4, bytes, 8, source, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_FAILED));
}

/* A device whose state is longer than what is kept, described, and with a value at its end. */
static GByteArray *
make_large(void)
{
    static const char json[] =
        "{\"page_size\": 4096, \"devices\": [{\"name\": \"dev\", \"instance_id\": 0, "
        "\"vmsd_name\": \"dev\", \"version\": 3, \"fields\": ["
        "{\"name\": \"pixels\", \"type\": \"buffer\", \"size\": 67108864}, "
        "{\"name\": \"last\", \"type\": \"uint16\", \"size\": 2}]}]}";
    GByteArray *to = kit_stream("pc");
    guint old;

    kit_ram_start(to, 2);
    kit_ram_end(to);
    kit_section(to, VMF_SECTION_END, 2, NULL, 0);
    kit_ram_end(to);
    kit_section(to, VMF_SECTION_FULL, 7, "dev", 3);
    old = to->len;
    g_byte_array_set_size(to, old + VMF_SURVEY_STATE_MAX);
    memset(to->data + old, 0x7e, VMF_SURVEY_STATE_MAX);
    kit_number(to, 0x1234, 2);
    kit_footer(to, 7);
    kit_number(to, 0, 1);
    kit_number(to, 6, 1);
    kit_number(to, strlen(json), 4);
    kit_bytes(to, json, strlen(json));
    return to;
}

static void
test_state_larger_than_what_is_kept(void **state)
{
    g_autoptr(GByteArray) stream = make_large();
    g_autoptr(VmfInspection) file = inspect(make_file(stream, stream->len), NULL);
    const VmfSurveySection *section;
    g_autoptr(GBytes) bytes = NULL;
    gsize length;
    const uint8_t *data;

    assert_non_null(file);
    assert_false(vmf_survey_facts(file->survey)->state_dropped);
    section = vmf_survey_facts(file->survey)->sections->pdata[1];
    assert_string_equal(section->device->name, "dev");
    assert_int_equal(section->extent, VMF_EXTENT_DESCRIBED);
    assert_null(section->kept);
    bytes = vmf_survey_state(file->survey, section, NULL);
    data = g_bytes_get_data(bytes, &length);
    assert_int_equal(length, VMF_SURVEY_STATE_MAX + 2);
    assert_memory_equal(data + VMF_SURVEY_STATE_MAX, "\x12\x34", 2);
}

/* What cannot be read again is dropped, and that is said. */
static void
test_state_dropped(void **state)
{
    g_autoptr(GByteArray) stream = make_large();
    g_autoptr(VmfSurvey) survey = vmf_survey_new(VMF_CONNECTION_MAIN);
    const VmfSurveyFacts *facts = vmf_survey_facts(survey);

    for (guint at = 0; at < stream->len; at += 65536)
        assert_true(vmf_survey_put(survey, stream->data + at, MIN(65536, stream->len - at), NULL));
    assert_true(vmf_survey_end(survey, NULL));
    assert_true(facts->state_dropped);
    assert_null(facts->description);
    assert_null(vmf_survey_state(survey, facts->sections->pdata[1], NULL));
}

static void
test_pipe(void **state)
{
    g_autoptr(GByteArray) stream = kit_whole();
    g_autoptr(VmfInspection) inspection = NULL;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], stream->data, stream->len), stream->len);
    close(ends[1]);
    inspection = inspect(ends[0], NULL);
    assert_non_null(inspection);
    assert_false(vmf_source_can_fetch(inspection->source));
    assert_int_equal(vmf_source_size(inspection->source), 0);
    assert_int_equal(vmf_survey_facts(inspection->survey)->size, stream->len);
}

static void
test_what_is_no_stream(void **state)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) noise = NULL;
    g_autoptr(GError) nothing = NULL;
    g_autoptr(GError) directory = NULL;
    g_autoptr(GError) tls = NULL;

    assert_null(inspect(make_file(bytes, 0), &nothing));
    assert_true(g_error_matches(nothing, VMF_ERROR, VMF_ERROR_BAD_STREAM));
    kit_bytes(bytes, "no stream at all", 16);
    assert_null(inspect(make_file(bytes, 16), &noise));
    assert_true(g_error_matches(noise, VMF_ERROR, VMF_ERROR_BAD_STREAM));
    assert_non_null(strstr(noise->message, "offset 0 (0x0): expected a migration stream"));
    memcpy(bytes->data, "\x16\x03\x01\x02\x00\x01\x00\x01", 8);
    assert_null(inspect(make_file(bytes, 16), &tls));
    assert_true(g_error_matches(tls, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED));
    assert_non_null(strstr(tls->message, "TLS"));
    assert_null(inspect(open("/", O_RDONLY | O_CLOEXEC), &directory));
    assert_true(g_error_matches(directory, VMF_ERROR, VMF_ERROR_FAILED));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_compression),
        cmocka_unit_test(test_cut_images),
        cmocka_unit_test(test_damaged_images),
        cmocka_unit_test(test_unfinished_image_is_named),
        cmocka_unit_test(test_fetch),
        cmocka_unit_test(test_state_larger_than_what_is_kept),
        cmocka_unit_test(test_state_dropped),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_what_is_no_stream),
    };

    return cmocka_run_group_tests_name("inspect-source", tests, NULL, NULL);
}
