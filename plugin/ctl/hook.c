/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmferry hook: puts libvirt's hook in its place, and takes it away. */
#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "vmferry-config.h"

#define VMF_HOOK_FOLDER "/etc/libvirt/hooks/qemu.d"
#define VMF_HOOK_NAME "50-vmferry"

typedef struct {
    char *folder;
    char *program;
    gboolean reload, json;
} VmfHookOptions;

static int
vmf_hook_fail(const char *path, int error)
{
    fprintf(stderr, "vmferry: %s: %s\n", path, g_strerror(error));
    return VMF_EXIT_FAILED;
}

/* libvirt looks for hooks when it starts and on SIGHUP; running guests do not notice either. */
static int
vmf_hook_reload(const VmfHookOptions *options)
{
    static const char *const files[] = {"/run/libvirtd.pid", "/run/virtqemud.pid"};
    gboolean done = FALSE;

    if (!options->reload) {
        fputs("libvirtd sees the change when it is reloaded: vmferry hook install --reload, or "
              "systemctl reload libvirtd\n",
              stderr);
        return VMF_EXIT_OK;
    }
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *text = NULL;
        pid_t pid = g_file_get_contents(files[i], &text, NULL, NULL) ? (pid_t)atoi(text) : (pid_t)0;

        done |= pid > 1 && kill(pid, SIGHUP) == 0;
    }
    if (done)
        return VMF_EXIT_OK;
    fputs("vmferry: no libvirtd or virtqemud runs that could be reloaded\n", stderr);
    return VMF_EXIT_FAILED;
}

static gboolean
vmf_hook_is_installed(const VmfHookOptions *options, const char *path)
{
    g_autofree char *target = g_file_read_link(path, NULL);

    return g_strcmp0(target, options->program) == 0;
}

static int
vmf_hook_install(const VmfHookOptions *options, const char *path)
{
    if (!g_file_test(options->program, G_FILE_TEST_IS_EXECUTABLE))
        return vmf_hook_fail(options->program, errno ? errno : ENOENT);
    if (g_mkdir_with_parents(options->folder, 0755) < 0)
        return vmf_hook_fail(options->folder, errno);
    if (!vmf_hook_is_installed(options, path) && symlink(options->program, path) < 0)
        return vmf_hook_fail(path, errno);
    return vmf_hook_reload(options);
}

static int
vmf_hook_remove(const VmfHookOptions *options, const char *path)
{
    if (!g_file_test(path, G_FILE_TEST_IS_SYMLINK) && !g_file_test(path, G_FILE_TEST_EXISTS))
        return VMF_EXIT_OK;
    if (!vmf_hook_is_installed(options, path)) {
        fprintf(stderr, "vmferry: %s is not what vmferry hook install made; left alone\n", path);
        return VMF_EXIT_FAILED;
    }
    if (g_unlink(path) < 0)
        return vmf_hook_fail(path, errno);
    return vmf_hook_reload(options);
}

static int
vmf_hook_status(const VmfHookOptions *options, const char *path)
{
    gboolean installed = vmf_hook_is_installed(options, path);
    GVariantDict status;

    if (!options->json) {
        printf("%s: %s\n", path, installed ? "installed" : "not installed");
        return VMF_EXIT_OK;
    }
    g_variant_dict_init(&status, NULL);
    g_variant_dict_insert(&status, "Path", "s", path);
    g_variant_dict_insert(&status, "Installed", "b", installed);
    vmf_ctl_print_json(g_variant_dict_end(&status));
    return VMF_EXIT_OK;
}

int
vmf_ctl_hook(int argc, char **argv)
{
    VmfHookOptions options = {.folder = NULL};
    const GOptionEntry entries[] = {
        {"folder", 0, 0, G_OPTION_ARG_FILENAME, &options.folder,
         "libvirt's folder of hooks (default " VMF_HOOK_FOLDER ")", "DIR"},
        {"program", 0, 0, G_OPTION_ARG_FILENAME, &options.program,
         "The hook (default " VMF_HOOK_PATH ")", "FILE"},
        {"reload", 0, 0, G_OPTION_ARG_NONE, &options.reload, "Let libvirtd look for hooks again",
         NULL},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &options.json, "status: print JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autofree char *path = NULL;
    int status = VMF_EXIT_USAGE;

    if (vmf_ctl_parse(&argc, &argv, entries, "install|remove|status",
                      "Makes libvirt ask vmferryd before a guest arrives on this host.", 1, 1)) {
        options.folder = options.folder ? options.folder : g_strdup(VMF_HOOK_FOLDER);
        options.program = options.program ? options.program : g_strdup(VMF_HOOK_PATH);
        path = g_build_filename(options.folder, VMF_HOOK_NAME, NULL);
        if (g_str_equal(argv[1], "install"))
            status = vmf_hook_install(&options, path);
        else if (g_str_equal(argv[1], "remove"))
            status = vmf_hook_remove(&options, path);
        else if (g_str_equal(argv[1], "status"))
            status = vmf_hook_status(&options, path);
        else
            fprintf(stderr, "vmferry: hook: expected install, remove or status, not '%s'\n",
                    argv[1]);
    }
    g_free(options.folder);
    g_free(options.program);
    return status;
}
