/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/question.h"

#include "base/error.h"
#include "daemon/dirty-rate.h"

static void
vmf_question_free(gpointer data)
{
    VmfQuestion *question = data;

    g_free(question->uuid);
    g_free(question->uri);
    free(question->xml); /* libvirt's own allocation */
    g_free(question);
}

static gboolean
vmf_question_look(virDomainPtr domain, VmfQuestion *question)
{
    unsigned long long cache = 0;

    question->xml = virDomainGetXMLDesc(domain, 0);
    if (virDomainMigrateGetCompressionCache(domain, &cache, 0) == 0)
        question->cache = cache;
    return question->xml != NULL;
}

static gboolean
vmf_question_run(virDomainPtr domain, VmfQuestion *question, GError **error)
{
    gboolean result;

    switch (question->ask) {
    case VMF_ASK_START:
        return vmf_dirty_rate_start(domain, question->seconds, error);
    case VMF_ASK_RESULT:
        return vmf_dirty_rate_ask(domain, question->seconds, &question->done, &question->bytes,
                                  error);
    case VMF_ASK_LOOK:
        result = vmf_question_look(domain, question);
        break;
    default:
        result = virDomainMigrateSetCompressionCache(domain, question->cache, 0) == 0;
        break;
    }
    if (!result)
        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "observing a guest");
    return result;
}

static void
vmf_question_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfQuestion *question = data;
    GError *error = NULL;
    g_autoptr(virConnect) connection = vmf_libvirt_open(question->uri, &error);
    g_autoptr(virDomain) domain = NULL;

    if (connection) {
        domain = virDomainLookupByUUIDString(connection, question->uuid);
        if (!domain)
            vmf_libvirt_set_error(&error, VMF_ERROR_LIBVIRT_FAILED, "looking for a guest");
    }
    if (domain && vmf_question_run(domain, question, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

void
vmf_question_ask(VmfDaemon *daemon, VmfAsk ask, const char *uuid, guint64 value,
                 GAsyncReadyCallback done, gpointer data)
{
    VmfQuestion *question = g_new0(VmfQuestion, 1);
    g_autoptr(GTask) task = g_task_new(NULL, NULL, done, data);

    question->ask = ask;
    question->uuid = g_strdup(uuid);
    question->uri = g_strdup(vmf_daemon_get_config(daemon)->libvirt_uri);
    if (ask == VMF_ASK_CACHE)
        question->cache = value;
    else
        question->seconds = (guint)value;
    g_task_set_task_data(task, question, vmf_question_free);
    vmf_workers_run(vmf_daemon_get_workers(daemon), task, vmf_question_thread);
}
