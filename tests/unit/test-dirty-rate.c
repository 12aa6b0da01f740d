/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is asked of libvirt to measure dirty rates, recorded instead of done: page sampling and
 * nothing else, as QEMU crashes when it is asked for a dirty bitmap of a guest that runs without
 * KVM; never two at once, never beside another job.
 */
#include "cmocka-all.h"

#include "base/error.h"
#include "daemon/dirty-rate.h"

/* ---- a libvirt that records (the linker leads the calls here) ---- */

static struct {
    int state;
    int job;
    int status;     /* of the calculation */
    long long rate; /* MiB/s */
    virTypedParameter params[2];
    guint started;
    int seconds;
    guint flags;
} fake;

int __wrap_virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags);
int __wrap_virDomainGetJobInfo(virDomainPtr domain, virDomainJobInfoPtr info);
int __wrap_virDomainStartDirtyRateCalc(virDomainPtr domain, int seconds, unsigned int flags);
int __wrap_virDomainListGetStats(virDomainPtr *domains, unsigned int stats,
                                 virDomainStatsRecordPtr **records, unsigned int flags);
void __wrap_virDomainStatsRecordListFree(virDomainStatsRecordPtr *records);

int
__wrap_virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags)
{
    *state = fake.state;
    return 0;
}

int
__wrap_virDomainGetJobInfo(virDomainPtr domain, virDomainJobInfoPtr info)
{
    info->type = fake.job;
    return 0;
}

int
__wrap_virDomainStartDirtyRateCalc(virDomainPtr domain, int seconds, unsigned int flags)
{
    fake.started++;
    fake.seconds = seconds;
    fake.flags = flags;
    return 0;
}

int
__wrap_virDomainListGetStats(virDomainPtr *domains, unsigned int stats,
                             virDomainStatsRecordPtr **records, unsigned int flags)
{
    static virDomainStatsRecord record;
    static virDomainStatsRecordPtr list[] = {&record, NULL};

    assert_int_equal(stats, VIR_DOMAIN_STATS_DIRTYRATE);
    fake.params[0] = (virTypedParameter){
        .field = "dirtyrate.calc_status", .type = VIR_TYPED_PARAM_INT, .value.i = fake.status};
    fake.params[1] = (virTypedParameter){.field = "dirtyrate.megabytes_per_second",
                                         .type = VIR_TYPED_PARAM_LLONG,
                                         .value.l = fake.rate};
    record.params = fake.params;
    record.nparams = 2;
    *records = list;
    return 1;
}

void
__wrap_virDomainStatsRecordListFree(virDomainStatsRecordPtr *records)
{
    assert_non_null(records[0]);
}

static int
reset(void **state)
{
    memset(&fake, 0, sizeof fake);
    fake.state = VIR_DOMAIN_RUNNING;
    fake.job = VIR_DOMAIN_JOB_NONE;
    return 0;
}

/* ---- tests ---- */

static void
test_page_sampling_and_nothing_else(void **state)
{
    for (const guint *period = vmf_dirty_rate_periods; *period; period++) {
        assert_true(vmf_dirty_rate_start(NULL, *period, NULL));
        assert_int_equal(fake.seconds, *period);
        assert_int_equal(fake.flags, VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING);
        assert_int_equal(fake.flags & (VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_BITMAP |
                                       VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_RING),
                         0);
    }
    assert_int_equal(fake.started, 3);
}

static void
assert_refused(const char *why)
{
    g_autoptr(GError) error = NULL;

    assert_false(vmf_dirty_rate_start(NULL, 1, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED));
    assert_non_null(strstr(error->message, why));
    assert_int_equal(fake.started, 0);
}

static void
test_never_during_a_job(void **state)
{
    fake.job = VIR_DOMAIN_JOB_UNBOUNDED;
    assert_refused("has a job");
}

static void
test_never_two_at_once(void **state)
{
    fake.status = VIR_DOMAIN_DIRTYRATE_MEASURING;
    assert_refused("measures it already");
}

static void
test_only_running_guests(void **state)
{
    fake.state = VIR_DOMAIN_PAUSED;
    assert_refused("does not run");
}

static void
test_results(void **state)
{
    gboolean done = TRUE;
    guint64 bytes = 0;
    g_autoptr(GError) error = NULL;

    fake.status = VIR_DOMAIN_DIRTYRATE_MEASURING;
    assert_true(vmf_dirty_rate_ask(NULL, 3, &done, &bytes, NULL));
    assert_false(done);
    fake.status = VIR_DOMAIN_DIRTYRATE_MEASURED;
    fake.rate = 50;
    assert_true(vmf_dirty_rate_ask(NULL, 3, &done, &bytes, NULL));
    assert_true(done);
    assert_int_equal(bytes, 150 << 20);
    fake.status = VIR_DOMAIN_DIRTYRATE_UNSTARTED;
    assert_false(vmf_dirty_rate_ask(NULL, 3, &done, &bytes, &error));
    assert_non_null(strstr(error->message, "gave up"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_page_sampling_and_nothing_else, reset),
        cmocka_unit_test_setup(test_never_during_a_job, reset),
        cmocka_unit_test_setup(test_never_two_at_once, reset),
        cmocka_unit_test_setup(test_only_running_guests, reset),
        cmocka_unit_test_setup(test_results, reset),
    };

    assert_int_equal(virInitialize(), 0);
    return cmocka_run_group_tests_name("dirty-rate", tests, NULL, NULL);
}
