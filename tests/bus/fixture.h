/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Real daemons on private buses, for tests.
 *
 * A lab is a folder with a CA. A host is a folder in it with a dbus-daemon of its own,
 * certificates, configuration, a reserved TCP port of 127.0.0.1, and, when started, vmferryd.
 * libvirt is its test driver: guests "running", "paused" (with a writable disk) and "off".
 * RunDirectory is /proc/self/cwd/run, so that it is the same string on every host and another
 * folder.
 *
 * Everything fails the calling test when it cannot be done, so nothing returns an error. Nothing
 * sleeps: waiting runs the default main context until an event brings what is waited for, at most
 * VMF_PATIENCE. What runs is ended by vmf_lab_free(), by pid, whatever the tests did.
 * One thread. The programs come from the environment: VMFERRYD, VMFERRY, VMFERRY_PUMP,
 * VMFERRY_INSPECT, and STUB_PUMP, which hosts with a mood use instead.
 */
#pragma once

#include "cmocka-all.h"

#include <gio/gio.h>

#include "vmferry-bus.h"

#define VMF_PATIENCE 30 /* s */

#define VMF_UUID_RUNNING "11111111-1111-4111-8111-111111111111"
#define VMF_UUID_SECOND "44444444-4444-4444-8444-444444444444"
#define VMF_UUID_OFF "22222222-2222-4222-8222-222222222222"
#define VMF_UUID_PAUSED "33333333-3333-4333-8333-333333333333"

/* ---- waiting (wait.c) ---- */

/* Until `condition` holds; it is asked again after every event. `what`: for the failure. */
void vmf_wait_until(gboolean (*condition)(gpointer data), gpointer data, const char *what);

/* Until a string property of a proxy has this value. */
void vmf_wait_property(gpointer proxy, const char *property, const char *value);

/* Until a proxy's property Error is org.vmferry1.Error.NAME, with `words` in its message. */
void vmf_wait_error(gpointer proxy, const char *name, const char *words);

/* Until a migration's proxy has failed, with such an error. */
void vmf_wait_failed(VmfBusMigration *migration, const char *name, const char *words);

/* Until a file exists. */
void vmf_wait_file(const char *path);

/* Until a process that need not be a child of ours has ended. */
void vmf_wait_gone(pid_t pid);

/* A socket of 127.0.0.1 that listens and never answers, until it is unreferenced. */
GSocket *vmf_listen(guint16 *ret_port);

/* The children of a process; the caller's. */
GArray *vmf_children_of(pid_t pid);

/* ---- processes (wait.c) ---- */

/* The path of a program, from the environment. */
const char *vmf_program(const char *variable);

/* A child setup: dies with the test, whatever happens to it. */
void vmf_process_die_with_parent(gpointer unused);

/* Kills it, waits for its end, and takes the reference. */
void vmf_process_end(GSubprocess *process);

/* ---- certificates (certificates.c) ---- */

typedef enum {
    VMF_CERTIFICATE_GOOD,
    VMF_CERTIFICATE_OTHER_NAME,  /* "elsewhere" */
    VMF_CERTIFICATE_OTHER_CA,    /* and trusts that one only */
    VMF_CERTIFICATE_SELF_SIGNED, /* and trusts the good CA */
    VMF_CERTIFICATE_EXPIRED,
    VMF_CERTIFICATE_BRIEF, /* for VMF_BRIEF seconds from now */
} VmfCertificate;

#define VMF_BRIEF 10 /* s */

/* Makes DIRECTORY/cacert.pem and cakey.pem. */
void vmf_ca_make(const char *directory);

/* Fills DIRECTORY, a TlsDirectory, from the CA in `ca`. */
void vmf_certificate_make(const char *ca, const char *directory, const char *name,
                          VmfCertificate kind);

/* Fills DIRECTORY/cacrl.pem: the CA in `ca` revokes the certificate in the folder `revoked`. */
void vmf_certificate_revoke(const char *ca, const char *directory, const char *revoked);

/* ---- labs and hosts (fixture.c, host.c) ---- */

typedef struct VmfLab VmfLab;

typedef struct {
    VmfLab *lab;
    char *name;
    char *directory;
    guint16 port;
    GSocket *reservation; /* keeps others off the port; does not listen */
    GSubprocess *bus_daemon;
    char *address;          /* of the bus */
    GDBusConnection *bus;   /* the test's own connection */
    GSubprocess *daemon;    /* NULL when it does not run */
    VmfBusManager *manager; /* while it runs */
    GDBusObjectManager *objects;
    char *mood; /* of its pumps */
} VmfHost;

VmfLab *vmf_lab_new(void);
void vmf_lab_free(VmfLab *lab);
const char *vmf_lab_get_directory(VmfLab *lab);

/* With a bus, good certificates and a configuration, but no daemon yet. The lab's. */
VmfHost *vmf_lab_add_host(VmfLab *lab, const char *name);

/* libvirt with other guests: an XML document, "<node/>" for none. */
void vmf_host_set_guests(VmfHost *host, const char *xml);

/* A running guest, for vmf_host_set_guests(). */
#define VMF_GUEST_XML(name, uuid)                                                                  \
    "<domain type='test'><name>" name "</name><uuid>" uuid "</uuid><memory>65536</memory>"         \
    "<os><type arch='i686'>hvm</type></os></domain>"

/* Changes vmferryd.conf; `value` NULL removes the key. */
void vmf_host_set(VmfHost *host, const char *group, const char *key, const char *value);

/* Writes peers.d/NAME.conf; `more` are further lines or NULL. */
void vmf_host_add_peer(VmfHost *host, const char *name, guint16 port, const char *more);
void vmf_host_remove_peer(VmfHost *host, const char *name);

/* Pumps that misbehave, see stub-pump.c; before the daemon is started. */
void vmf_host_set_mood(VmfHost *host, const char *mood);

/* Other certificates than the good ones; used by the next connection. */
void vmf_host_set_certificate(VmfHost *host, VmfCertificate kind);

/* The CA revokes `revoked`'s certificate; `host` is given the list. */
void vmf_host_revoke(VmfHost *host, VmfHost *revoked);

/* Starts vmferryd, until it has its name on the bus. */
void vmf_host_start(VmfHost *host);

/* The same for a daemon that the test stops (SIGSTOP): what happens to its main loop from outside
   is no failure that its watchdog looks for. */
void vmf_host_start_unwatched(VmfHost *host);

/* Ends it with SIGTERM and expects exit status 0. */
void vmf_host_stop(VmfHost *host);

/* Ends it with SIGKILL. */
void vmf_host_kill(VmfHost *host);

pid_t vmf_host_get_pid(VmfHost *host);

/* Lines with `words` in what its daemons and pumps logged so far. The whole log is shown when the
 * lab goes. */
guint vmf_host_count_log(VmfHost *host, const char *words);

/* Waits for the line: an answer may come before what is logged about it. */
void vmf_host_assert_logged_once(VmfHost *host, const char *words);
void vmf_host_show_log(VmfHost *host);

/* Waits for the end of every process it started, and expects no socket of theirs below run/. */
void vmf_host_assert_clean(VmfHost *host);

/* ---- two hosts that know one another (fixture.c) ---- */

typedef struct {
    VmfLab *lab;
    VmfHost *a; /* "hosta" */
    VmfHost *b; /* "hostb" */
} VmfPair;

/* Without daemons yet; `more` as for vmf_host_add_peer(), of hosta's file for hostb. */
VmfPair *vmf_pair_new(const char *more);
void vmf_pair_start(VmfPair *pair);

/* A setup: hosta's libvirt would migrate to hostb's, which has no guests yet. */
int vmf_pair_set_up(void **state);

/* A teardown: stops the daemons that run, and frees the pair. */
int vmf_pair_tear_down(void **state);

/* A path below the host's folder; the caller's. */
char *vmf_host_path(VmfHost *host, const char *below);

/* A program on this host's bus. Standard output and error; the exit status. */
int vmf_host_run(VmfHost *host, const char *const *argv, char **ret_out, char **ret_error);

/* The same with something on its standard input; NULL: nothing. */
int vmf_host_run_with(VmfHost *host, const char *const *argv, GBytes *input, char **ret_out,
                      char **ret_error);

/* A Migration object, or NULL; the caller's. The second waits until there is one. */
VmfBusMigration *vmf_host_find_migration(VmfHost *host);
VmfBusMigration *vmf_host_wait_migration(VmfHost *host);

/* By name. */
VmfBusPeer *vmf_host_get_peer(VmfHost *host, const char *name);

/* Manager.Migrate without options, expected to succeed: the proxy of the new object. */
VmfBusMigration *vmf_host_migrate(VmfHost *host, const char *guest, const char *peer);

/* The proxy of a migration's object. */
VmfBusMigration *vmf_host_get_migration(VmfHost *host, const char *path);

/* ---- asserting (wait.c) ---- */

/* `error` is org.vmferry1.Error.NAME, and its message holds `words` (NULL: any); frees it. */
void vmf_assert_error(GError *error, const char *name, const char *words);

/* Likewise of an (ss) property Error. */
void vmf_assert_error_property(GVariant *property, const char *name, const char *words);

/* Manager.Connect, expected to succeed. */
void vmf_host_connect(VmfHost *host, const char *peer);

/* The call's error, and the same in the peer's property. */
void vmf_host_assert_connect_refused(VmfHost *host, const char *peer, const char *name,
                                     const char *words);

/* Of guest "running", to "hostb". */
void vmf_host_assert_migration_fails(VmfHost *host, const char *name, const char *words);
