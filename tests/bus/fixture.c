/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

#define BUS_NAME "org.vmferry1"

struct VmfLab {
    char *directory;
    GPtrArray *hosts;
};

static void
write_below(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* ---- the lab ---- */

#define GUEST(name, uuid, more)                                                                    \
    "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>"                 \
    "<name>" name "</name><uuid>" uuid "</uuid><memory unit='KiB'>65536</memory>"                  \
    "<vcpu>1</vcpu><os><type arch='i686'>hvm</type></os>" more "</domain>"

static const char guests[] =
    "<node>" GUEST("running", VMF_UUID_RUNNING, "") GUEST("second", VMF_UUID_SECOND, "")
        GUEST("off", VMF_UUID_OFF, "<test:runstate>5</test:runstate>")
            GUEST("paused", VMF_UUID_PAUSED,
                  "<devices><disk type='file' device='disk'><source file='/nowhere.img'/>"
                  "<target dev='vda'/></disk></devices><test:runstate>3</test:runstate>") "</node>";

VmfLab *
vmf_lab_new(void)
{
    VmfLab *lab = g_new0(VmfLab, 1);
    g_autofree char *ca = NULL;

    (void)vmf_error_quark();
    /* What a daemon leaves behind when it ends becomes ours to end. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    lab->directory = g_dir_make_tmp("vmf-XXXXXX", NULL);
    assert_non_null(lab->directory);
    /* Other users come to the buses. */
    assert_int_equal(g_chmod(lab->directory, 0755), 0);
    lab->hosts = g_ptr_array_new();
    write_below(lab->directory, "guests.xml", guests);
    ca = g_build_filename(lab->directory, "ca", NULL);
    vmf_ca_make(ca);
    return lab;
}

const char *
vmf_lab_get_directory(VmfLab *lab)
{
    return lab->directory;
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) directory = NULL;
    const char *name;

    if (!g_file_test(path, G_FILE_TEST_IS_SYMLINK))
        directory = g_dir_open(path, 0, NULL);
    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *below = g_build_filename(path, name, NULL);

        remove_tree(below);
    }
    (void)g_remove(path);
}

/* Pumps whose daemon ended before them. */
static void
end_orphans(void)
{
    g_autoptr(GArray) orphans = vmf_children_of(getpid());

    for (guint i = 0; i < orphans->len; i++) {
        pid_t pid = g_array_index(orphans, pid_t, i);

        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

static void
host_free(VmfHost *host)
{
    vmf_host_kill(host);
    vmf_host_show_log(host);
    if (host->bus)
        g_dbus_connection_close_sync(host->bus, NULL, NULL);
    g_clear_object(&host->bus);
    g_clear_pointer(&host->bus_daemon, vmf_process_end);
    g_clear_object(&host->reservation);
    g_free(host->address);
    g_free(host->directory);
    g_free(host->name);
    g_free(host->mood);
    g_free(host);
}

void
vmf_lab_free(VmfLab *lab)
{
    for (guint i = 0; i < lab->hosts->len; i++)
        host_free(lab->hosts->pdata[i]);
    end_orphans();
    g_ptr_array_unref(lab->hosts);
    if (g_getenv("VMFERRY_KEEP_LAB"))
        print_message("kept: %s\n", lab->directory);
    else
        remove_tree(lab->directory);
    g_free(lab->directory);
    g_free(lab);
}

/* ---- a host ---- */

/* Bound but not listening: nobody else is given the port, and vmferryd, which asks for address
 * reuse as this does, can have it. */
static void
host_reserve_port(VmfHost *host)
{
    g_autoptr(GSocketAddress) any = g_inet_socket_address_new_from_string("127.0.0.1", 0);
    g_autoptr(GSocketAddress) got = NULL;

    host->reservation =
        g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    assert_true(g_socket_bind(host->reservation, any, TRUE, NULL));
    got = g_socket_get_local_address(host->reservation, NULL);
    host->port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(got));
}

/* As a system bus is by default, with the policy that is installed, and its owner may own names. */
static void
host_write_bus_config(VmfHost *host)
{
    g_autofree char *policy =
        g_build_filename(vmf_program("VMFERRY_SOURCE"), "data", "org.vmferry1.conf", NULL);
    g_autofree char *text = g_strdup_printf(
        "<busconfig><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>"
        "<policy context='default'><allow user='*'/><deny own='*'/><deny send_type='method_call'/>"
        "<allow send_type='signal'/><allow send_requested_reply='true'/>"
        "<allow receive_type='method_call'/><allow receive_type='method_return'/>"
        "<allow receive_type='error'/><allow receive_type='signal'/>"
        "<allow send_destination='org.freedesktop.DBus'/></policy>"
        "<policy user='%u'><allow own='" BUS_NAME "'/><allow send_destination='" BUS_NAME "'/>"
        "</policy><include>%s</include></busconfig>",
        host->directory, (guint)getuid(), policy);

    write_below(host->directory, "bus.conf", text);
}

static void
host_start_bus(VmfHost *host)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE);
    g_autofree char *config = vmf_host_path(host, "bus.conf");
    g_autoptr(GDataInputStream) output = NULL;

    host_write_bus_config(host);
    g_subprocess_launcher_set_child_setup(launcher, vmf_process_die_with_parent, NULL, NULL);
    host->bus_daemon =
        g_subprocess_launcher_spawn(launcher, NULL, "dbus-daemon", "--nofork", "--print-address",
                                    "--config-file", config, NULL);
    assert_non_null(host->bus_daemon);
    output = g_data_input_stream_new(g_subprocess_get_stdout_pipe(host->bus_daemon));
    host->address = g_data_input_stream_read_line_utf8(output, NULL, NULL, NULL);
    assert_non_null(host->address);
    host->bus =
        g_dbus_connection_new_for_address_sync(host->address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, NULL);
    assert_non_null(host->bus);
    g_dbus_connection_set_exit_on_close(host->bus, FALSE);
}

static void
host_configure(VmfHost *host)
{
    g_autofree char *tls = vmf_host_path(host, "pki");
    g_autofree char *port = g_strdup_printf("%u", host->port);
    g_autofree char *uri = g_strdup_printf("test://%s/guests.xml", host->lab->directory);
    g_autofree char *peers = vmf_host_path(host, "peers.d");
    g_autofree char *cache = vmf_host_path(host, "cache");

    assert_int_equal(g_mkdir(peers, 0755), 0);
    vmf_host_set(host, "Network", "Address", "127.0.0.1");
    vmf_host_set(host, "Network", "Port", port);
    vmf_host_set(host, "Security", "TlsDirectory", tls);
    vmf_host_set(host, "Libvirt", "Uri", uri);
    vmf_host_set(host, "Pump", "Path", vmf_program("VMFERRY_PUMP"));
    vmf_host_set(host, "Pump", "User", getuid() == 0 ? "nobody" : g_get_user_name());
    vmf_host_set(host, "Paths", "RunDirectory", "/proc/self/cwd/run");
    vmf_host_set(host, "Paths", "CacheDirectory", cache);
    vmf_host_set(host, "Ways", "Sockets", "false"); /* tests look for what is left behind */
}

VmfHost *
vmf_lab_add_host(VmfLab *lab, const char *name)
{
    VmfHost *host = g_new0(VmfHost, 1);

    host->lab = lab;
    host->name = g_strdup(name);
    host->directory = g_build_filename(lab->directory, name, NULL);
    g_ptr_array_add(lab->hosts, host);
    assert_int_equal(g_mkdir(host->directory, 0755), 0);
    host_reserve_port(host);
    host_start_bus(host);
    vmf_host_set_certificate(host, VMF_CERTIFICATE_GOOD);
    host_configure(host);
    return host;
}

char *
vmf_host_path(VmfHost *host, const char *below)
{
    return g_build_filename(host->directory, below, NULL);
}

void
vmf_host_set(VmfHost *host, const char *group, const char *key, const char *value)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = vmf_host_path(host, "vmferryd.conf");

    (void)g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL);
    if (value)
        g_key_file_set_string(file, group, key, value);
    else
        g_key_file_remove_key(file, group, key, NULL);
    assert_true(g_key_file_save_to_file(file, path, NULL));
}

void
vmf_host_set_guests(VmfHost *host, const char *xml)
{
    g_autofree char *uri = g_strdup_printf("test://%s/guests.xml", host->directory);

    write_below(host->directory, "guests.xml", xml);
    vmf_host_set(host, "Libvirt", "Uri", uri);
}

static char *
host_peer_path(VmfHost *host, const char *name)
{
    g_autofree char *file = g_strconcat(name, ".conf", NULL);

    return g_build_filename(host->directory, "peers.d", file, NULL);
}

void
vmf_host_add_peer(VmfHost *host, const char *name, guint16 port, const char *more)
{
    g_autofree char *path = host_peer_path(host, name);
    g_autofree char *text = g_strdup_printf("[Peer]\nName=%s\nAddresses=127.0.0.1:%u\n%s\n", name,
                                            port, more ? more : "");

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

void
vmf_host_remove_peer(VmfHost *host, const char *name)
{
    g_autofree char *path = host_peer_path(host, name);

    assert_int_equal(g_unlink(path), 0);
}

void
vmf_host_set_mood(VmfHost *host, const char *mood)
{
    vmf_host_set(host, "Pump", "Path", vmf_program("STUB_PUMP"));
    g_free(host->mood);
    host->mood = g_strdup(mood);
}

void
vmf_host_set_certificate(VmfHost *host, VmfCertificate kind)
{
    g_autofree char *ca = g_build_filename(host->lab->directory, "ca", NULL);
    g_autofree char *pki = vmf_host_path(host, "pki");

    vmf_certificate_make(ca, pki, host->name, kind);
}

void
vmf_host_revoke(VmfHost *host, VmfHost *revoked)
{
    g_autofree char *ca = g_build_filename(host->lab->directory, "ca", NULL);
    g_autofree char *pki = vmf_host_path(host, "pki");
    g_autofree char *theirs = vmf_host_path(revoked, "pki");

    vmf_certificate_revoke(ca, pki, theirs);
}

/* ---- two hosts ---- */

VmfPair *
vmf_pair_new(const char *more)
{
    VmfPair *pair = g_new0(VmfPair, 1);

    pair->lab = vmf_lab_new();
    pair->a = vmf_lab_add_host(pair->lab, "hosta");
    pair->b = vmf_lab_add_host(pair->lab, "hostb");
    vmf_host_add_peer(pair->a, "hostb", pair->b->port, more);
    vmf_host_add_peer(pair->b, "hosta", pair->a->port, NULL);
    return pair;
}

void
vmf_pair_start(VmfPair *pair)
{
    vmf_host_start(pair->a);
    vmf_host_start(pair->b);
}

int
vmf_pair_set_up(void **state)
{
    VmfPair *pair = vmf_pair_new("LibvirtUri=test:///default");

    *state = pair;
    vmf_host_set_guests(pair->b, "<node/>");
    return 0;
}

int
vmf_pair_tear_down(void **state)
{
    VmfPair *pair = *state;

    if (pair->a->daemon)
        vmf_host_stop(pair->a);
    if (pair->b->daemon)
        vmf_host_stop(pair->b);
    vmf_lab_free(pair->lab);
    g_free(pair);
    return 0;
}
