/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A link that goes on over a new connection, frame by frame: what is said, what is sent again, and
 * what is refused. Two real sides, with cuts anywhere, are in test-resume.c. */
#include "mux-fixture.h"

#include <string.h>

static void
test_what_is_said(void **state)
{
    MuxFixture *f = mux_fixture_new_resumable(VMF_SIDE_DESTINATION);

    f->deliver = FALSE;
    mux_say_data(f, 1, 0, 1000, 0);
    mux_say_end(f, 1, 1000);
    mux_run_until(f->ended);
    vmf_mux_delivered(f->mux, 1, 400);
    mux_cut(f);
    mux_run_until(f->counts[VMF_FRAME_RESUME] == 1);
    assert_int_equal(f->last[VMF_FRAME_HELLO].length, VMF_HELLO_RESUME_SIZE);
    assert_int_equal(f->last[VMF_FRAME_RESUME].channel, 1);
    assert_int_equal(f->last[VMF_FRAME_RESUME].sequence, 1000);
    f->ready = FALSE;
    mux_say_hello_again(f, VMF_SIDE_SOURCE, 1);
    mux_say_resume(f, 1, 0, &(VmfResume){0, 65536, FALSE});
    mux_run_until(f->ready);
    /* what was delivered meanwhile is said again, and `arrived` counts this connection's bytes */
    mux_run_until(f->counts[VMF_FRAME_ACK] >= 1);
    assert_int_equal(f->last[VMF_FRAME_ACK].sequence, 400);
    assert_int_equal(f->ack.arrived, 0);
    mux_fixture_free(f);
}

/* From inside a frame, and only what is missing; then the END. */
static void
test_what_is_sent_again(void **state)
{
    MuxFixture *f = mux_fixture_new_resumable(VMF_SIDE_SOURCE);

    for (int i = 0; i < 3; i++)
        mux_source_sends(f, 1000);
    vmf_mux_end(f->mux, 1);
    mux_run_until(f->counts[VMF_FRAME_END] == 1);
    mux_cut(f);
    f->peer_bytes = 0;
    mux_say_hello_again(f, VMF_SIDE_DESTINATION, 1);
    mux_say_resume(f, 1, 1300, &(VmfResume){1000, 65536, FALSE});
    mux_run_until(f->counts[VMF_FRAME_END] == 1);
    assert_int_equal(f->counts[VMF_FRAME_OPEN], 0);
    assert_int_equal(f->counts[VMF_FRAME_DATA], 2);
    assert_int_equal(f->peer_bytes, 1700);
    assert_int_equal(f->last[VMF_FRAME_DATA].sequence, 2000);
    assert_int_equal(f->last[VMF_FRAME_END].sequence, 3000);

    /* and once more, when all had come */
    mux_cut(f);
    f->peer_bytes = 0;
    mux_say_hello_again(f, VMF_SIDE_DESTINATION, 1);
    mux_say_resume(f, 1, 3000, &(VmfResume){3001, 65536, TRUE});
    mux_run_until(f->end_acknowledged);
    assert_int_equal(f->peer_bytes, 0);
    assert_int_equal(f->counts[VMF_FRAME_END], 0);
    mux_fixture_free(f);
}

static void
test_a_lost_open(void **state)
{
    MuxFixture *f = mux_fixture_new_resumable(VMF_SIDE_SOURCE);
    g_autoptr(GError) error = g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "not any more");

    mux_source_sends(f, 500);
    assert_true(vmf_mux_open(f->mux, 2, VMF_CHANNEL_NBD, NULL));
    vmf_mux_reset(f->mux, 2, error);
    mux_cut(f);
    f->peer_bytes = 0;
    mux_say_hello_again(f, VMF_SIDE_DESTINATION, 0);
    mux_run_until(f->peer_bytes == 500 && f->counts[VMF_FRAME_RESET] == 1);
    assert_int_equal(f->counts[VMF_FRAME_OPEN], 2);
    assert_int_equal(f->last[VMF_FRAME_RESET].channel, 2);
    assert_string_equal(f->said->message, "not any more");
    mux_fixture_free(f);
}

typedef struct {
    guint resumes, channel; /* that HELLO tells of; 0: RESUME does not come */
    guint64 offset;
    VmfResume resume;
    const char *why;
} Lie;

/* A source that sent 1000 bytes, of which 600 were acknowledged, with a credit of 65536. */
static void
test_lies_to_a_source(void **state)
{
    const Lie lies[] = {
        {1, 1, 1001, {600, 65536, FALSE}, "expected 600 to 1000"},
        {1, 1, 599, {599, 65536, FALSE}, "expected 600 to 1000"},
        {1, 1, 1000, {1001, 65536, FALSE}, "expected 600 to 1000"},
        {1, 1, 1000, {1000, 65536, TRUE}, "END if that was sent"},
        {1, 1, 1000, {599, 65536, FALSE}, "expected 600 to 1000"},
        {1, 1, 1000, {1000, 65535, FALSE}, "65536 or more"},
        {1, 2, 0, {0, 65536, FALSE}, "not opened"},
        {0, 0, 0, {0, 0, FALSE}, "no RESUME of channel 1"},
        {0, 1, 0, {0, 65536, FALSE}, "no RESUME of channel 1"},
        {1025, 0, 0, {0, 0, FALSE}, "at most 1024"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(lies); i++) {
        MuxFixture *f = mux_fixture_new_resumable(VMF_SIDE_SOURCE);

        mux_source_sends(f, 1000);
        mux_run_until(f->peer_bytes == 1000);
        mux_say_ack(f, 1, 600, 65536, 1000);
        mux_say_data(f, 1, 0, 1, 0);
        mux_run_until(f->bytes == 1);
        mux_cut(f);
        mux_say_hello_again(f, VMF_SIDE_DESTINATION, lies[i].resumes);
        if (lies[i].channel > 0)
            mux_say_resume(f, lies[i].channel, lies[i].offset, &lies[i].resume);
        mux_assert_refused(f, VMF_ERROR_PROTOCOL, lies[i].why);
    }
}

static void
test_resume_out_of_place(void **state)
{
    const VmfResume nothing = {0, 65536, FALSE};
    MuxFixture *f = mux_fixture_new_resumable(VMF_SIDE_DESTINATION);

    mux_say_resume(f, 1, 0, &nothing);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "no more than HELLO told of");

    f = mux_fixture_new_resumable(VMF_SIDE_DESTINATION);
    mux_cut(f);
    mux_say_hello_again(f, VMF_SIDE_SOURCE, 2);
    mux_say_resume(f, 1, 0, &nothing);
    mux_say_resume(f, 1, 0, &nothing);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "a second RESUME of channel 1");

    f = mux_fixture_new_resumable(VMF_SIDE_DESTINATION);
    mux_cut(f);
    mux_say_hello_again(f, VMF_SIDE_SOURCE, 1);
    mux_say_data(f, 1, 0, 1, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "expected RESUME");

    /* the destination may not have got the last OPEN: that is said after it */
    f = mux_fixture_new_resumable(VMF_SIDE_DESTINATION);
    mux_cut(f);
    f->ready = FALSE;
    mux_say_hello_again(f, VMF_SIDE_SOURCE, 2);
    mux_say_resume(f, 1, 0, &nothing);
    mux_say_resume(f, 2, 0, &nothing);
    mux_say_open(f, 2);
    mux_run_until(f->opened == 2);
    mux_fixture_free(f);

    /* bytes must go on where they ended */
    f = mux_fixture_new_resumable(VMF_SIDE_DESTINATION);
    mux_say_data(f, 1, 0, 100, 0);
    mux_run_until(f->bytes == 100);
    mux_cut(f);
    mux_say_hello_again(f, VMF_SIDE_SOURCE, 1);
    mux_say_resume(f, 1, 0, &nothing);
    mux_say_data(f, 1, 50, 100, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "an overlap");
}

/* Where it was not agreed on a broken link is the end, and RESUME is not known. */
static void
test_not_agreed(void **state)
{
    MuxFixture *f = mux_destination_new();

    assert_false(vmf_mux_can_resume(f->mux));
    mux_say_resume(f, 1, 0, &(VmfResume){0, 65536, FALSE});
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "no more than HELLO told of");
    f = mux_destination_new();
    g_clear_pointer(&f->peer, vmf_wire_free);
    mux_run_until(f->broken);
    assert_false(f->lost);
    mux_fixture_free(f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_said),        cmocka_unit_test(test_what_is_sent_again),
        cmocka_unit_test(test_a_lost_open),         cmocka_unit_test(test_lies_to_a_source),
        cmocka_unit_test(test_resume_out_of_place), cmocka_unit_test(test_not_agreed),
    };

    return cmocka_run_group_tests_name("mux-resume", tests, NULL, NULL);
}
