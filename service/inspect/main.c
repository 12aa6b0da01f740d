/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmferry-inspect: reads a stream of a stranger for vmferryd. See inspect/helper.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "inspect/check.h"
#include "inspect/helper.h"
#include "inspect/json.h"
#include "vmferry-config.h"

#define VMF_HELPER_FILES 16
#define VMF_HELPER_STACK (64u << 10)

#ifdef __SANITIZE_ADDRESS__ /* it watches by itself */
#define VMF_HELPER_SANITIZED 1
#else
#define VMF_HELPER_SANITIZED 0
#endif
#define VMF_HELPER_SPARE (1u << 20)
#define VMF_HELPER_MARGIN 65536 /* of the answer, for what is not findings */

typedef struct {
    char *user;
    int seconds;
    gboolean version;
    char *device;
    VmfInspectParts parts;
} VmfHelperArguments;

static gboolean
vmf_helper_parse(VmfHelperArguments *arguments, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"user", 0, 0, G_OPTION_ARG_STRING, &arguments->user,
         "become this user, when started as root (vmferry)", "NAME"},
        {"seconds", 0, 0, G_OPTION_ARG_INT, &arguments->seconds, "take so much CPU at most", "N"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &arguments->device, "as vmferry inspect", "NAME"},
        {"ram", 0, 0, G_OPTION_ARG_NONE, &arguments->parts.ram, "likewise", NULL},
        {"sections", 0, 0, G_OPTION_ARG_NONE, &arguments->parts.sections, "likewise", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &arguments->version, "print the version", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("inspect|check");

    g_option_context_set_summary(context,
                                 "Reads a migration stream or save image for vmferryd, by which it "
                                 "is started.\nBy hand, use vmferry inspect and vmferry check.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    arguments->parts.device = arguments->device;
    if (arguments->version ||
        (*argc == 2 && (strcmp((*argv)[1], "inspect") == 0 || strcmp((*argv)[1], "check") == 0)))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "expected inspect or check");
    return FALSE;
}

static gboolean
vmf_helper_write(int fd, const char *bytes, gsize length, GError **error)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};

    while (length > 0) {
        ssize_t n = write(fd, bytes, length);

        if (n < 0 && errno == EAGAIN) {
            (void)poll(&writable, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "writing: %s", g_strerror(errno));
            return FALSE;
        } else if (n > 0) {
            bytes += n;
            length -= (gsize)n;
        }
    }
    return TRUE;
}

/* What was found before an error is written, too. */
static void
vmf_helper_inspect(const VmfInspectParts *parts, GError **error)
{
    VmfSource *source = vmf_source_new(VMF_HELPER_FIRST, error);
    g_autoptr(VmfInspection) inspection = source ? vmf_inspection_new(source, error) : NULL;
    g_autofree char *json = NULL;
    gboolean fine, found;

    if (!inspection)
        return;
    fine = vmf_inspection_run(inspection, NULL, NULL, error);
    json = vmf_inspect_to_json(inspection, parts, &found);
    if (!vmf_helper_write(VMF_HELPER_SECOND, json, strlen(json), fine ? error : NULL) || !fine)
        return;
    if (!found)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "no device \"%s\" with values",
                    parts->device);
}

static VmfVmstateSet *
vmf_helper_read_side(int fd, gboolean stream_allowed, const char *side, GError **error)
{
    VmfSource *source = vmf_source_new(fd, error);
    VmfVmstateSet *set = source ? vmf_check_read(source, stream_allowed, error) : NULL;

    if (!set)
        g_prefix_error(error, "%s: ", side);
    return set;
}

static GVariant *
vmf_helper_check(GError **error)
{
    g_autoptr(VmfVmstateSet) source = vmf_helper_read_side(VMF_HELPER_FIRST, TRUE, "source", error);
    g_autoptr(VmfVmstateSet) destination = NULL;
    g_autoptr(VmfFindings) findings = NULL;

    if (source)
        destination = vmf_helper_read_side(VMF_HELPER_SECOND, FALSE, "destination", error);
    if (!destination)
        return NULL;
    findings = vmf_compat_check(source, destination);
    return vmf_check_to_variant(findings, source, destination,
                                VMF_HELPER_RESULT_MAX - VMF_HELPER_MARGIN);
}

static gboolean
vmf_helper_answer(GVariant *result, const GError *why)
{
    const char *name =
        !why ? ""
             : vmf_error_name(why->domain == VMF_ERROR ? (VmfError)why->code : VMF_ERROR_FAILED);
    g_autofree char *message = vmf_text_clean(why ? why->message : "");
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GError) error = NULL;

    if (!result)
        result = g_variant_new("a{sv}", NULL);
    answer = g_variant_ref_sink(g_variant_new("(ss@a{sv})", name, message, result));
    if (vmf_helper_write(VMF_HELPER_ANSWER, g_variant_get_data(answer), g_variant_get_size(answer),
                         &error))
        return TRUE;
    vmf_warn(NULL, "%s", error->message);
    return FALSE;
}

/*
 * Without memory GLib ends a process with SIGTRAP, or by recursion when it has none to say so with.
 * Told apart here from a crash: then there would be memory.
 */
static void
vmf_helper_on_crash(int number)
{
    if (mmap(NULL, VMF_HELPER_SPARE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        _exit(VMF_HELPER_NO_MEMORY);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void
vmf_helper_watch_memory(void)
{
    const stack_t stack = {.ss_sp = g_malloc(VMF_HELPER_STACK), .ss_size = VMF_HELPER_STACK};
    const struct sigaction action = {.sa_handler = vmf_helper_on_crash, .sa_flags = SA_ONSTACK};

    /* A stack of its own: the other one may be what is used up. */
    (void)sigaltstack(&stack, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
    (void)sigaction(SIGTRAP, &action, NULL);
    (void)sigaction(SIGABRT, &action, NULL);
}

static gboolean
vmf_helper_run(const VmfHelperArguments *arguments, const char *what)
{
    g_autoptr(GError) error = NULL;
    GVariant *result = NULL;

    (void)signal(SIGPIPE, SIG_IGN);
    if (!VMF_HELPER_SANITIZED)
        vmf_helper_watch_memory();
    if (strcmp(what, "check") == 0)
        result = vmf_helper_check(&error);
    else
        vmf_helper_inspect(&arguments->parts, &error);
    return vmf_helper_answer(result, error);
}

int
main(int argc, char **argv)
{
    VmfHelperArguments arguments = {0};
    g_autofree char *user = NULL;
    g_autofree char *device = NULL;
    g_autoptr(GError) error = NULL;
    gboolean ok = vmf_helper_parse(&arguments, &argc, &argv, &error);
    VmfSandbox sandbox = {.files = VMF_HELPER_FILES, .memory = VMF_HELPER_MEMORY};

    vmf_log_init("vmferry-inspect", FALSE, TRUE);
    device = arguments.device;
    user = arguments.user ? arguments.user : g_strdup("vmferry");
    sandbox.user = user;
    sandbox.seconds = (guint)MAX(arguments.seconds, 0);
    if (ok && arguments.version) {
        g_print("vmferry-inspect %s\n", VMF_VERSION);
        return EXIT_SUCCESS;
    }
    /* After the confinement: becoming another user takes this back. */
    if (!ok || !vmf_sandbox_enter(&sandbox, &error) || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        vmf_warn(NULL, "%s", error ? error->message : g_strerror(errno));
        return EXIT_FAILURE;
    }
    return vmf_helper_run(&arguments, argv[1]) ? EXIT_SUCCESS : EXIT_FAILURE;
}
