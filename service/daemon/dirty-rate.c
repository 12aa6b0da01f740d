/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/dirty-rate.h"

#include "base/error.h"

const guint vmf_dirty_rate_periods[] = {1, 3, 9, 0};

typedef struct {
    int status;   /* virDomainDirtyRateStatus, or -1 */
    guint64 rate; /* MiB/s */
} VmfDirtyRate;

static gboolean
vmf_dirty_rate_read(virDomainPtr domain, VmfDirtyRate *rate, GError **error)
{
    virDomainPtr domains[] = {domain, NULL};
    virDomainStatsRecordPtr *records = NULL;
    long long value = 0;

    rate->status = -1;
    rate->rate = 0;
    if (virDomainListGetStats(domains, VIR_DOMAIN_STATS_DIRTYRATE, &records, 0) < 0) {
        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "reading the dirty rate");
        return FALSE;
    }
    if (records[0]) {
        (void)virTypedParamsGetInt(records[0]->params, records[0]->nparams, "dirtyrate.calc_status",
                                   &rate->status);
        if (virTypedParamsGetLLong(records[0]->params, records[0]->nparams,
                                   "dirtyrate.megabytes_per_second", &value) == 1)
            rate->rate = (guint64)MAX(value, 0);
    }
    virDomainStatsRecordListFree(records);
    return TRUE;
}

static gboolean
vmf_dirty_rate_refuse(const char *why, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED, "no dirty rate is measured now: %s",
                why);
    return FALSE;
}

gboolean
vmf_dirty_rate_start(virDomainPtr domain, guint seconds, GError **error)
{
    int state = VIR_DOMAIN_NOSTATE;
    virDomainJobInfo job = {0};
    VmfDirtyRate rate;

    if (virDomainGetState(domain, &state, NULL, 0) < 0 || state != VIR_DOMAIN_RUNNING)
        return vmf_dirty_rate_refuse("the guest does not run", error);
    if (virDomainGetJobInfo(domain, &job) < 0 || job.type != VIR_DOMAIN_JOB_NONE)
        return vmf_dirty_rate_refuse("the guest has a job", error);
    if (!vmf_dirty_rate_read(domain, &rate, error))
        return FALSE;
    if (rate.status == VIR_DOMAIN_DIRTYRATE_MEASURING)
        return vmf_dirty_rate_refuse("somebody measures it already", error);
    if (virDomainStartDirtyRateCalc(domain, (int)seconds,
                                    VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING) == 0)
        return TRUE;
    vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "measuring the dirty rate");
    return FALSE;
}

gboolean
vmf_dirty_rate_ask(virDomainPtr domain, guint seconds, gboolean *ret_done, guint64 *ret_bytes,
                   GError **error)
{
    VmfDirtyRate rate;

    if (!vmf_dirty_rate_read(domain, &rate, error))
        return FALSE;
    *ret_done = rate.status == VIR_DOMAIN_DIRTYRATE_MEASURED;
    *ret_bytes = (rate.rate << 20) * seconds;
    if (rate.status == VIR_DOMAIN_DIRTYRATE_MEASURED ||
        rate.status == VIR_DOMAIN_DIRTYRATE_MEASURING)
        return TRUE;
    return vmf_dirty_rate_refuse("libvirt gave up", error);
}
