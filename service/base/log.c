/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

typedef struct {
    char *program;
    gboolean verbose;
    gboolean confined;
} VmfLog;

static const char *
vmf_log_field(const GLogField *fields, gsize n, const char *key)
{
    for (gsize i = 0; i < n; i++)
        if (g_str_equal(fields[i].key, key) && fields[i].length < 0)
            return fields[i].value;
    return NULL;
}

static GLogWriterOutput
vmf_log_writer(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    const VmfLog *log = data;
    const char *message = vmf_log_field(fields, n, "MESSAGE");
    const char *priority = vmf_log_field(fields, n, "PRIORITY");
    const char *mark = level & G_LOG_LEVEL_DEBUG  ? "debug: "
                       : level & G_LOG_LEVEL_INFO ? ""
                                                  : "warning: ";
    gboolean journal = g_log_writer_is_journald(STDERR_FILENO);
    g_autofree char *prefix = NULL;
    g_autofree char *line = NULL;

    if (level & G_LOG_LEVEL_DEBUG && !log->verbose)
        return G_LOG_WRITER_HANDLED;
    if (journal && !log->confined &&
        g_log_writer_journald(level, fields, n, NULL) == G_LOG_WRITER_HANDLED)
        return G_LOG_WRITER_HANDLED;
    prefix = journal && priority ? g_strdup_printf("<%s>", priority) : g_strdup("");
    line = g_strdup_printf("%s%s: %s%s\n", prefix, log->program, mark, message ? message : "");
    fputs(line, stderr);
    return G_LOG_WRITER_HANDLED;
}

static void
vmf_log_free(gpointer data)
{
    VmfLog *log = data;

    g_free(log->program);
    g_free(log);
}

void
vmf_log_init(const char *program, gboolean verbose, gboolean confined)
{
    VmfLog *log = g_new0(VmfLog, 1);

    log->program = g_strdup(program);
    log->confined = confined;
    log->verbose = verbose || g_getenv("VMFERRY_DEBUG") != NULL;
    g_log_set_writer_func(vmf_log_writer, log, vmf_log_free);
}

void
vmf_log_write(GLogLevelFlags level, const char *id, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *message = NULL;
    va_list args;
    GLogField fields[] = {
        {"MESSAGE", NULL, -1},
        {"PRIORITY",
         level & G_LOG_LEVEL_DEBUG  ? "7"
         : level & G_LOG_LEVEL_INFO ? "6"
                                    : "4",
         -1},
        {"GLIB_DOMAIN", "vmferry", -1},
        {"MIGRATION", id, -1},
    };

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    message = id ? g_strdup_printf("%s: %s", id, text) : g_steal_pointer(&text);
    fields[0].value = message;
    g_log_structured_array(level, fields, id ? G_N_ELEMENTS(fields) : G_N_ELEMENTS(fields) - 1);
}
