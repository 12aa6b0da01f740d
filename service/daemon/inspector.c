/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/inspector.h"

#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <signal.h>
#include <unistd.h>

#include "base/error.h"
#include "base/timer.h"
#include "inspect/helper.h"

struct VmfInspector {
    const VmfConfig *config;
    VmfWorkers *workers;
    GHashTable *running; /* set of GTask */
};

/* One call; belongs to its GTask. */
typedef struct {
    VmfInspector *inspector;
    GSubprocess *process;
    GInputStream *answer;
    char *buffer; /* VMF_HELPER_RESULT_MAX bytes */
    gsize filled;
    GSource *timer;
    gulong on_cancelled;
    guint seconds;
    gboolean late;
    gboolean stopped;
} VmfInspectorRun;

static void
vmf_inspector_run_free(gpointer data)
{
    VmfInspectorRun *run = data;

    vmf_timer_clear(&run->timer);
    g_clear_object(&run->process);
    g_clear_object(&run->answer);
    g_free(run->buffer);
    g_free(run);
}

/* ---- the end of one ---- */

/* NULL: it ended by itself, and has answered if it could. */
static GError *
vmf_inspector_judge_end(const VmfInspectorRun *run)
{
    int number =
        g_subprocess_get_if_signaled(run->process) ? g_subprocess_get_term_sig(run->process) : 0;

    if (run->late || number == SIGXCPU)
        return g_error_new(VMF_ERROR, VMF_ERROR_TIMED_OUT,
                           "it was not read in %u s, and given up; the option timeout allows more",
                           run->seconds);
    if (run->stopped)
        return g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED,
                                   "vmferryd is ending, or nobody waits for the answer");
    if (!number && g_subprocess_get_exit_status(run->process) == VMF_HELPER_NO_MEMORY)
        return g_error_new(VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                           "reading it takes more than the %u MiB of memory that vmferry-inspect "
                           "may have; vmferry inspect has no such limit",
                           VMF_HELPER_MEMORY >> 20);
    if (number)
        return g_error_new(VMF_ERROR, VMF_ERROR_FAILED, "vmferry-inspect was killed by signal %d",
                           number);
    return NULL;
}

/* Nothing in the answer is trusted: the process may have been taken over by what it read. */
static GVariant *
vmf_inspector_parse(const VmfInspectorRun *run, GError **error)
{
    g_autoptr(GBytes) bytes = g_bytes_new(run->buffer, run->filled);
    g_autoptr(GVariant) answer = g_variant_ref_sink(
        g_variant_new_from_bytes(G_VARIANT_TYPE(VMF_HELPER_RESULT), bytes, FALSE));
    g_autofree char *clean = NULL;
    const char *name, *message;

    if (run->filled == 0 || !g_variant_is_normal_form(answer)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED,
                    "vmferry-inspect gave no answer; what it says is in vmferryd's log");
        return NULL;
    }
    g_variant_get_child(answer, 0, "&s", &name);
    g_variant_get_child(answer, 1, "&s", &message);
    if (!*name)
        return g_variant_get_child_value(answer, 2);
    clean = vmf_text_clean(message);
    g_set_error_literal(error, VMF_ERROR, (int)vmf_error_from_name(name), clean);
    return NULL;
}

static void
vmf_inspector_on_exit(GObject *process, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    VmfInspectorRun *run = g_task_get_task_data(task);
    GError *error = NULL;
    GVariant *found = NULL;

    (void)g_subprocess_wait_finish(G_SUBPROCESS(process), result, NULL);
    vmf_timer_clear(&run->timer);
    g_hash_table_remove(run->inspector->running, task);
    if (run->on_cancelled)
        g_cancellable_disconnect(g_task_get_cancellable(task), run->on_cancelled);
    error = vmf_inspector_judge_end(run);
    if (!error)
        found = vmf_inspector_parse(run, &error);
    if (found)
        g_task_return_pointer(task, found, (GDestroyNotify)g_variant_unref);
    else
        g_task_return_error(task, error);
}

static void
vmf_inspector_on_answer(GObject *stream, GAsyncResult *result, gpointer data)
{
    GTask *task = data;
    VmfInspectorRun *run = g_task_get_task_data(task);

    if (!g_input_stream_read_all_finish(G_INPUT_STREAM(stream), result, &run->filled, NULL) ||
        run->filled == VMF_HELPER_RESULT_MAX)
        g_subprocess_force_exit(run->process); /* no answer is so long */
    g_subprocess_wait_async(run->process, NULL, vmf_inspector_on_exit, task);
}

static gboolean
vmf_inspector_on_late(gpointer data)
{
    VmfInspectorRun *run = data;

    run->late = TRUE;
    g_subprocess_force_exit(run->process);
    return G_SOURCE_REMOVE;
}

static void
vmf_inspector_on_cancelled(GCancellable *cancellable, gpointer data)
{
    VmfInspectorRun *run = data;

    run->stopped = TRUE;
    g_subprocess_force_exit(run->process);
}

/* ---- the start of one ---- */

static GSubprocessLauncher *
vmf_inspector_launcher(int first, int second, int answer)
{
    GSubprocessLauncher *launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE);

    g_subprocess_launcher_take_fd(launcher, first, VMF_HELPER_FIRST);
    g_subprocess_launcher_take_fd(launcher, second, VMF_HELPER_SECOND);
    g_subprocess_launcher_take_fd(launcher, answer, VMF_HELPER_ANSWER);
    return launcher;
}

/* Takes the descriptors, also when it fails. */
static gboolean
vmf_inspector_spawn(VmfInspectorRun *run, const char *const *arguments, int first, int second,
                    GError **error)
{
    const VmfConfig *config = run->inspector->config;
    g_autofree char *seconds = g_strdup_printf("%u", run->seconds);
    const char *front[] = {config->inspect_path, "--user", config->pump_user,
                           "--seconds",          seconds,  NULL};
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;
    g_autoptr(GSubprocessLauncher) launcher = NULL;
    int ends[2] = {-1, -1};

    g_strv_builder_addv(builder, front);
    g_strv_builder_addv(builder, (const char **)arguments);
    argv = g_strv_builder_end(builder);
    if (!g_unix_open_pipe(ends, FD_CLOEXEC, error)) {
        close(first);
        close(second);
        return FALSE;
    }
    run->answer = g_unix_input_stream_new(ends[0], TRUE);
    launcher = vmf_inspector_launcher(first, second, ends[1]);
    run->process = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv, error);
    if (!run->process)
        g_prefix_error(error, "cannot start %s: ", config->inspect_path);
    return run->process != NULL;
}

static gboolean
vmf_inspector_has_room(const VmfInspector *self, GError **error)
{
    guint running = g_hash_table_size(self->running);

    if (running < self->config->max_inspections)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                "%u streams are being read already, which is the limit of this host (Inspections "
                "in vmferryd.conf); try again when one is done",
                running);
    return FALSE;
}

void
vmf_inspector_run(VmfInspector *self, const char *const *arguments, int first, int second,
                  guint seconds, GCancellable *cancellable, GAsyncReadyCallback callback,
                  gpointer data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, data);
    VmfInspectorRun *run = g_new0(VmfInspectorRun, 1);
    g_autoptr(GError) error = NULL;

    g_task_set_check_cancellable(task, FALSE); /* it is answered when the process is gone */
    g_task_set_task_data(task, run, vmf_inspector_run_free);
    run->inspector = self;
    run->seconds = seconds;
    if (!vmf_inspector_has_room(self, &error)) {
        close(first);
        close(second);
    }
    if (error || !vmf_inspector_spawn(run, arguments, first, second, &error)) {
        g_task_return_error(task, vmf_error_normalize(g_steal_pointer(&error)));
        g_object_unref(task);
        return;
    }
    run->buffer = g_malloc(VMF_HELPER_RESULT_MAX);
    run->timer = vmf_timer_new(seconds * 1000, vmf_inspector_on_late, run);
    g_hash_table_add(self->running, task);
    vmf_workers_add(self->workers, task);
    if (cancellable)
        run->on_cancelled =
            g_cancellable_connect(cancellable, G_CALLBACK(vmf_inspector_on_cancelled), run, NULL);
    g_input_stream_read_all_async(run->answer, run->buffer, VMF_HELPER_RESULT_MAX,
                                  G_PRIORITY_DEFAULT, NULL, vmf_inspector_on_answer, task);
}

GVariant *
vmf_inspector_run_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

/* ---- all of them ---- */

VmfInspector *
vmf_inspector_new(const VmfConfig *config, VmfWorkers *workers)
{
    VmfInspector *self = g_new0(VmfInspector, 1);

    self->config = config;
    self->workers = vmf_workers_ref(workers);
    self->running = g_hash_table_new(NULL, NULL);
    return self;
}

void
vmf_inspector_stop(VmfInspector *self)
{
    GHashTableIter iter;
    gpointer task;

    g_hash_table_iter_init(&iter, self->running);
    while (g_hash_table_iter_next(&iter, &task, NULL))
        vmf_inspector_on_cancelled(NULL, g_task_get_task_data(task));
}

void
vmf_inspector_free(VmfInspector *self)
{
    if (!self)
        return;
    vmf_inspector_stop(self);
    g_hash_table_unref(self->running);
    vmf_workers_unref(self->workers);
    g_free(self);
}
