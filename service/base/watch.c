/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/watch.h"

struct VmfWatch {
    GSource source; /* first */
    int fd;
    gpointer tag; /* NULL while not polled */
    GIOCondition wanted;
    VmfWatchFunc func;
    gpointer data;
};

static gboolean
vmf_watch_check(GSource *source)
{
    VmfWatch *watch = (VmfWatch *)source;

    return watch->tag && g_source_query_unix_fd(source, watch->tag) != 0;
}

static gboolean
vmf_watch_dispatch(GSource *source, GSourceFunc unused, gpointer unused_data)
{
    VmfWatch *watch = (VmfWatch *)source;
    GIOCondition condition = watch->tag ? g_source_query_unix_fd(source, watch->tag) : 0;

    /* another source of this round may have changed its mind for us */
    if (condition != 0)
        watch->func(condition, watch->data);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs vmf_watch_funcs = {
    .check = vmf_watch_check,
    .dispatch = vmf_watch_dispatch,
};

VmfWatch *
vmf_watch_new(int fd, VmfWatchFunc func, gpointer data)
{
    GSource *source = g_source_new(&vmf_watch_funcs, sizeof(VmfWatch));
    g_autoptr(GMainContext) context = g_main_context_ref_thread_default();
    VmfWatch *watch = (VmfWatch *)source;

    watch->fd = fd;
    watch->func = func;
    watch->data = data;
    g_source_attach(source, context);
    return watch;
}

void
vmf_watch_free(VmfWatch *watch)
{
    g_source_destroy(&watch->source);
    g_source_unref(&watch->source);
}

void
vmf_watch_want(VmfWatch *watch, GIOCondition wanted)
{
    if (wanted == watch->wanted)
        return;
    watch->wanted = wanted;
    if (wanted == 0) {
        g_source_remove_unix_fd(&watch->source, watch->tag);
        watch->tag = NULL;
    } else if (watch->tag) {
        g_source_modify_unix_fd(&watch->source, watch->tag, wanted);
    } else {
        watch->tag = g_source_add_unix_fd(&watch->source, watch->fd, wanted);
    }
}

void
vmf_watch_change(VmfWatch *watch, GIOCondition condition, gboolean wanted)
{
    vmf_watch_want(watch, wanted ? watch->wanted | condition : watch->wanted & ~condition);
}
