/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/timer.h"

GSource *
vmf_timer_new(guint ms, GSourceFunc func, gpointer data)
{
    g_autoptr(GMainContext) context = g_main_context_ref_thread_default();
    GSource *timer = g_timeout_source_new(ms);

    g_source_set_callback(timer, func, data, NULL);
    g_source_attach(timer, context);
    return timer;
}

static gboolean
vmf_alarm_dispatch(GSource *source, GSourceFunc func, gpointer data)
{
    return func(data);
}

static GSourceFuncs vmf_alarm_funcs = {.dispatch = vmf_alarm_dispatch};

GSource *
vmf_alarm_new(GSourceFunc func, gpointer data)
{
    g_autoptr(GMainContext) context = g_main_context_ref_thread_default();
    GSource *alarm = g_source_new(&vmf_alarm_funcs, sizeof(GSource));

    g_source_set_callback(alarm, func, data, NULL);
    g_source_attach(alarm, context);
    return alarm;
}

void
vmf_timer_clear(GSource **timer)
{
    if (*timer)
        g_source_destroy(*timer);
    g_clear_pointer(timer, g_source_unref);
}
