/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib-unix.h>
#include <stdio.h>

#include "base/error.h"
#include "ctl/ctl.h"
#include "ctl/migrate-options.h"
#include "ctl/progress.h"

#define VMF_REDRAW_INTERVAL 200 /* ms */
#define VMF_CALL_TIMEOUT 30000  /* ms */
#define VMF_COMEBACK_TIME 10    /* s: for another vmferryd, which takes the migration over */

typedef struct {
    const char *guest; /* as it was asked for */
    GMainLoop *loop;
    VmfBusMigration *migration;
    VmfProgress *progress;
    gboolean quiet;
    gboolean cancelling; /* that has been said */
    gboolean over;       /* there is nothing more to wait for */
    gboolean lost;       /* vmferryd went away, and none came that knows the migration */
    guint comeback;      /* the timer while one may */
} VmfFollow;

static gboolean
vmf_state_is_final(const char *state)
{
    return g_strcmp0(state, "completed") == 0 || g_strcmp0(state, "failed") == 0 ||
           g_strcmp0(state, "cancelled") == 0;
}

static void
vmf_follow_end(VmfFollow *follow)
{
    follow->over = TRUE;
    g_main_loop_quit(follow->loop);
}

static void
vmf_follow_on_changed(VmfBusMigration *migration, GParamSpec *spec, VmfFollow *follow)
{
    if (vmf_state_is_final(vmf_bus_migration_get_state(migration)))
        vmf_follow_end(follow);
}

static gboolean
vmf_follow_on_no_comeback(gpointer data)
{
    VmfFollow *follow = data;

    follow->comeback = 0;
    follow->lost = TRUE;
    vmf_follow_end(follow);
    return G_SOURCE_REMOVE;
}

/* A new owner's properties are here before it is told of; none if it does not know the migration.
 */
static void
vmf_follow_on_owner(VmfBusMigration *migration, GParamSpec *spec, VmfFollow *follow)
{
    g_autofree char *owner = g_dbus_proxy_get_name_owner(G_DBUS_PROXY(migration));
    const char *state = vmf_bus_migration_get_state(migration);

    g_clear_handle_id(&follow->comeback, g_source_remove);
    if (!owner) {
        vmf_progress_clear(follow->progress);
        fprintf(stderr, "vmferry: vmferryd went away; the migration goes on, and so does this "
                        "when vmferryd is back\n");
        follow->comeback =
            g_timeout_add_seconds(VMF_COMEBACK_TIME, vmf_follow_on_no_comeback, follow);
    } else if (!state || vmf_state_is_final(state)) {
        follow->lost = !state;
        vmf_follow_end(follow);
    }
}

static gboolean
vmf_follow_on_timer(gpointer data)
{
    VmfFollow *follow = data;

    if (!follow->quiet && !follow->comeback)
        vmf_progress_update(follow->progress);
    return G_SOURCE_CONTINUE;
}

/* From before Migrate, so that no interrupt ends this program and leaves the migration. */
static gboolean
vmf_follow_on_interrupt(gpointer data)
{
    VmfFollow *follow = data;

    if (!follow->cancelling) {
        vmf_progress_clear(follow->progress);
        fprintf(stderr, "vmferry: cancelling; the guest goes on at the source\n");
    }
    follow->cancelling = TRUE;
    vmf_bus_migration_call_cancel(follow->migration, NULL, NULL, NULL);
    return G_SOURCE_CONTINUE;
}

/* Until the migration is over, or vmferryd is. */
static void
vmf_follow_run(VmfFollow *follow)
{
    guint timer = g_timeout_add(VMF_REDRAW_INTERVAL, vmf_follow_on_timer, follow);

    g_signal_connect(follow->migration, "notify::state", G_CALLBACK(vmf_follow_on_changed), follow);
    g_signal_connect(follow->migration, "notify::g-name-owner", G_CALLBACK(vmf_follow_on_owner),
                     follow);
    vmf_follow_on_owner(follow->migration, NULL, follow); /* it may be gone, or over, by now */
    if (!follow->over)
        g_main_loop_run(follow->loop);
    g_signal_handlers_disconnect_by_data(follow->migration, follow);
    g_clear_handle_id(&follow->comeback, g_source_remove);
    g_source_remove(timer);
}

static guint64
vmf_migrate_pages(VmfBusMigration *migration, const char *kind)
{
    guint64 pages = 0;

    g_variant_lookup(vmf_bus_migration_get_pages(migration), kind, "t", &pages);
    return pages;
}

/* What was done to QEMU's stream, in a second line; nothing if it was carried as it is. */
static void
vmf_migrate_print_work(VmfBusMigration *migration)
{
    const char *untouched = vmf_bus_migration_get_untouched(migration);
    guint64 whole = vmf_migrate_pages(migration, "whole");
    guint64 delta = vmf_migrate_pages(migration, "delta");
    guint64 unchanged = vmf_migrate_pages(migration, "unchanged");
    double ratio = vmf_bus_migration_get_zstd_ratio(migration);

    if (whole + delta + unchanged > 0) {
        printf("pages: %" G_GUINT64_FORMAT " zero, %" G_GUINT64_FORMAT
               " unchanged, %" G_GUINT64_FORMAT " as deltas, %" G_GUINT64_FORMAT " whole",
               vmf_migrate_pages(migration, "zero"), unchanged, delta, whole);
        if (ratio > 0)
            printf("; zstd packed %.1f times", ratio);
        printf("\n");
    }
    if (untouched && *untouched)
        printf("carried as it is from some point on: %s\n", untouched);
}

static void
vmf_migrate_print_result(VmfBusMigration *migration)
{
    double seconds = (double)(vmf_bus_migration_get_ended(migration) -
                              vmf_bus_migration_get_started(migration)) /
                     G_USEC_PER_SEC;
    g_autofree char *qemu = vmf_ctl_format_bytes(vmf_bus_migration_get_bytes_from_qemu(migration));
    g_autofree char *wire = vmf_ctl_format_bytes(vmf_bus_migration_get_bytes_on_wire(migration));
    guint iterations = vmf_bus_migration_get_iteration(migration);

    printf("%s runs on %s: %.1f s, downtime %" G_GUINT64_FORMAT
           " ms, %s from QEMU, %s on the wire, %u iteration%s\n",
           vmf_bus_migration_get_domain(migration), vmf_bus_migration_get_peer(migration), seconds,
           vmf_bus_migration_get_downtime(migration), qemu, wire, iterations,
           iterations == 1 ? "" : "s");
    vmf_migrate_print_work(migration);
}

/* It was asked for, and could not be done to the end. */
static void
vmf_migrate_warn_unverified(VmfBusMigration *migration)
{
    const char *why = vmf_bus_migration_get_untouched(migration);

    if (!vmf_bus_migration_get_verified(migration))
        fprintf(
            stderr,
            "vmferry: the guest moved, but what went in was not held against what came out: %s\n",
            why && *why ? why : "its stream could not be followed to the state of devices");
}

static int
vmf_migrate_report(VmfFollow *follow, const VmfMigrateOptions *options)
{
    VmfBusMigration *migration = follow->migration;
    const char *state = vmf_bus_migration_get_state(migration);
    const char *message = "";

    if (follow->lost) {
        fprintf(stderr,
                "vmferry: vmferryd does not come back; the migration goes on without it: see virsh "
                "domjobinfo %s\n",
                follow->guest); /* the migration's properties went with vmferryd */
        return VMF_EXIT_NO_DAEMON;
    }
    if (options->json)
        vmf_ctl_print_json(vmf_ctl_get_properties(G_DBUS_PROXY(migration)));
    if (g_strcmp0(state, "completed") == 0) {
        if (!options->json)
            vmf_migrate_print_result(migration);
        if (options->verify)
            vmf_migrate_warn_unverified(migration);
        return VMF_EXIT_OK;
    }
    g_variant_get_child(vmf_bus_migration_get_error(migration), 1, "&s", &message);
    fprintf(stderr, "vmferry: %s\n", message);
    return g_strcmp0(state, "cancelled") == 0 ? VMF_EXIT_CANCELLED : VMF_EXIT_FAILED;
}

static VmfBusMigration *
vmf_migrate_start(VmfBusManager *manager, const char *guest, const char *host, GVariant *options,
                  GError **error)
{
    g_autofree char *path = NULL;

    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(manager), VMF_CALL_TIMEOUT);
    if (!vmf_bus_manager_call_migrate_sync(manager, guest, host, options, &path, NULL, error))
        return NULL;
    return vmf_bus_migration_proxy_new_sync(g_dbus_proxy_get_connection(G_DBUS_PROXY(manager)),
                                            G_DBUS_PROXY_FLAGS_NONE, VMF_CTL_BUS_NAME, path, NULL,
                                            error);
}

/* From the start to the exit status. */
static int
vmf_migrate_run(const char *guest, const char *host, const VmfMigrateOptions *options,
                GVariant *dict)
{
    VmfFollow follow = {.guest = guest, .quiet = options->quiet};
    g_autoptr(VmfBusManager) manager = vmf_ctl_connect();
    g_autoptr(GError) error = NULL;
    int status;

    if (!manager)
        return VMF_EXIT_NO_DAEMON;
    g_unix_signal_add(SIGINT, vmf_follow_on_interrupt, &follow);
    g_unix_signal_add(SIGTERM, vmf_follow_on_interrupt, &follow);
    follow.migration = vmf_migrate_start(manager, guest, host, dict, &error);
    if (!follow.migration)
        return vmf_ctl_fail(error);
    follow.loop = g_main_loop_new(NULL, FALSE);
    follow.progress = vmf_progress_new(follow.migration);
    vmf_follow_run(&follow);
    vmf_progress_free(follow.progress);
    status = vmf_migrate_report(&follow, options);
    g_main_loop_unref(follow.loop);
    g_object_unref(follow.migration);
    return status;
}

static int
vmf_migrate_parse_and_run(int argc, char **argv, VmfMigrateOptions *options)
{
    g_autofree GOptionEntry *entries = vmf_migrate_options_entries(options);
    g_autoptr(GVariant) dict = NULL;
    g_autoptr(GError) error = NULL;

    if (!vmf_ctl_parse(&argc, &argv, entries, "GUEST HOST",
                       "Migrates a running guest live to a peer. Ctrl-C cancels.", 2, 2))
        return VMF_EXIT_USAGE;
    dict = vmf_migrate_options_to_dict(options, &error);
    if (!dict) {
        (void)vmf_ctl_fail(error);
        return VMF_EXIT_USAGE;
    }
    g_variant_ref_sink(dict);
    return vmf_migrate_run(argv[1], argv[2], options, dict);
}

int
vmf_ctl_migrate(int argc, char **argv)
{
    VmfMigrateOptions options = {0};
    int status = vmf_migrate_parse_and_run(argc, argv, &options);

    vmf_migrate_options_clear(&options);
    return status;
}
