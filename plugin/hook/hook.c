/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's hook for QEMU guests, installed below /etc/libvirt/hooks/qemu.d: hook GUEST OPERATION
 * SUBOPERATION EXTRA, with the guest's XML on standard input (libvirt's hooks.html).
 *
 * It asks org.vmferry1.Manager.Hook and says what that says: exit status 0 and, for "migrate
 * begin", perhaps another XML on standard output; or 1, with a line for the user on standard
 * error. libvirt waits for it and must not be called from here, so it answers within two seconds,
 * whatever the daemon does. Without an answer it is as vmferryd.conf says ([Hook] FailClosed).
 */
#include <errno.h>
#include <gio/gio.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "vmferry-bus.h"
#include "vmferry-config.h"
#include "xml/domain.h"

#define VMF_HOOK_PATIENCE (1900 * 1000) /* µs, for everything */
#define VMF_HOOK_XML_MAX (16 * 1024 * 1024)

typedef struct {
    const char *guest, *operation, *suboperation, *extra;
    GString *xml;
    gint64 until; /* monotonic, µs */
} VmfHook;

static int
vmf_hook_time_left(const VmfHook *hook)
{
    return (int)(MAX(hook->until - g_get_monotonic_time(), 0) / 1000);
}

/* The only answer that the daemon may change something by. */
static gboolean
vmf_hook_is_admission(const VmfHook *hook)
{
    return g_str_equal(hook->operation, "migrate") && g_str_equal(hook->suboperation, "begin");
}

/* Standard input until its end; FALSE when that does not come in time, or there is too much. */
static gboolean
vmf_hook_read_xml(VmfHook *hook, GError **error)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char buffer[64 * 1024];
    gssize n;

    for (;;) {
        if (poll(&input, 1, vmf_hook_time_left(hook)) <= 0) {
            g_set_error_literal(error, VMF_ERROR, VMF_ERROR_TIMED_OUT,
                                "libvirt's XML did not come to its end");
            return FALSE;
        }
        n = read(STDIN_FILENO, buffer, sizeof buffer);
        if (n == 0)
            return TRUE;
        if (n < 0 || hook->xml->len + (gsize)n > VMF_HOOK_XML_MAX) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "the guest's XML: %s",
                        n < 0 ? g_strerror(errno) : "too large");
            return FALSE;
        }
        g_string_append_len(hook->xml, buffer, n);
    }
}

/* [Hook] FailClosed of vmferryd.conf: no guest passes without the daemon's word. */
static gboolean
vmf_hook_fails_closed(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    const char *path = g_getenv("VMFERRYD_CONF"); /* for tests: libvirt passes no environment */

    return g_key_file_load_from_file(file, path ? path : VMF_SYSCONFDIR "/vmferryd.conf",
                                     G_KEY_FILE_NONE, NULL) &&
           g_key_file_get_boolean(file, "Hook", "FailClosed", NULL);
}

static int
vmf_hook_go_without(const VmfHook *hook, const GError *error)
{
    gboolean closed = vmf_hook_is_admission(hook) && vmf_hook_fails_closed();
    g_autofree char *message = g_strdup(error->message);

    g_strdelimit(message, "\n", ' ');
    fprintf(stderr, "vmferry: the destination's vmferryd does not answer (%s)%s\n", message,
            closed ? "; FailClosed in vmferryd.conf lets no guest in without it"
                   : "; going on without it");
    return closed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What is not the same guest is not printed, whoever made it. */
static gboolean
vmf_hook_check_xml(const VmfHook *hook, const char *xml, GError **error)
{
    g_autoptr(VmfDomainXml) before = vmf_domain_xml_parse(hook->xml->str, error);
    g_autoptr(VmfDomainXml) after = before ? vmf_domain_xml_parse(xml, error) : NULL;

    if (!after)
        return FALSE;
    if (g_str_equal(before->name, after->name) && g_str_equal(before->uuid, after->uuid))
        return TRUE;
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                        "vmferryd's XML is of another guest");
    return FALSE;
}

static gboolean
vmf_hook_ask(VmfHook *hook, gboolean *ret_allowed, char **ret_message, char **ret_xml,
             GError **error)
{
    g_autoptr(GDBusConnection) bus = NULL;
    g_autoptr(GVariant) answer = NULL;

    if (!g_utf8_validate(hook->xml->str, (gssize)hook->xml->len, NULL)) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                            "the guest's XML is not UTF-8");
        return FALSE;
    }
    bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
    if (!bus)
        return FALSE;
    answer = g_dbus_connection_call_sync(
        bus, "org.vmferry1", "/org/vmferry1", "org.vmferry1.Manager", "Hook",
        g_variant_new("(sssss)", hook->guest, hook->operation, hook->suboperation, hook->extra,
                      hook->xml->str),
        G_VARIANT_TYPE("(bss)"), G_DBUS_CALL_FLAGS_NONE, MAX(vmf_hook_time_left(hook), 1), NULL,
        error);
    if (!answer) {
        if (error && *error)
            g_dbus_error_strip_remote_error(*error);
        return FALSE;
    }
    g_variant_get(answer, "(bss)", ret_allowed, ret_message, ret_xml);
    return TRUE;
}

static int
vmf_hook_run(VmfHook *hook)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *message = NULL;
    g_autofree char *xml = NULL;
    gboolean allowed = FALSE;

    if (!vmf_hook_read_xml(hook, &error) || !vmf_hook_ask(hook, &allowed, &message, &xml, &error) ||
        (allowed && *xml && !vmf_hook_check_xml(hook, xml, &error)))
        return vmf_hook_go_without(hook, error);
    if (!allowed) {
        fprintf(stderr, "%s\n", message);
        return EXIT_FAILURE;
    }
    if (vmf_hook_is_admission(hook))
        fputs(xml, stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
    VmfHook hook = {.until = g_get_monotonic_time() + VMF_HOOK_PATIENCE};
    int status;

    if (argc < 4) {
        fputs("usage: vmferry-hook GUEST OPERATION SUBOPERATION [EXTRA], as libvirt calls hooks; "
              "vmferry hook install makes it do so\n",
              stderr);
        return 2;
    }
    hook.guest = argv[1];
    hook.operation = argv[2];
    hook.suboperation = argv[3];
    hook.extra = argc > 4 ? argv[4] : "-";
    hook.xml = g_string_new(NULL);
    status = vmf_hook_run(&hook);
    g_string_free(hook.xml, TRUE);
    return status;
}
