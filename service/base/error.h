/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The errors of vmferry: one table, code <-> D-Bus error name.
 *
 * Every failure that leaves a library is a GError of domain VMF_ERROR with a message that says what
 * to do. Once vmf_error_quark() has run in a process, GDBus maps the codes to the names
 * org.vmferry1.Error.* and back by itself, on the system bus, between daemons and to the pump.
 * Codes are internal and may be renumbered; names are the contract and are documented in
 * data/org.vmferry1.xml.
 *
 * Threads: all functions may be called from any thread.
 */
#pragma once

#include <glib.h>

typedef enum {
    VMF_ERROR_FAILED,              /* anything without a name of its own */
    VMF_ERROR_INVALID_ARGUMENT,    /* an argument or option that is not valid */
    VMF_ERROR_NOT_AUTHORIZED,      /* the caller may not do this */
    VMF_ERROR_NOT_SUPPORTED,       /* understood, but not possible on this pair of hosts */
    VMF_ERROR_BAD_CONFIGURATION,   /* a file under /etc/vmferry is wrong */
    VMF_ERROR_NO_SUCH_DOMAIN,      /* libvirt on the source does not know the guest */
    VMF_ERROR_DOMAIN_NOT_RUNNING,  /* there is no live state to carry */
    VMF_ERROR_DOMAIN_UNSAFE,       /* moving the guest now would lose it */
    VMF_ERROR_DOMAIN_EXISTS,       /* the destination has a guest of that name or UUID */
    VMF_ERROR_ALREADY_MIGRATING,   /* a second migration of the same guest */
    VMF_ERROR_NO_SUCH_MIGRATION,   /* no migration with that id */
    VMF_ERROR_NO_SUCH_PEER,        /* not in peers.d */
    VMF_ERROR_PEER_UNREACHABLE,    /* no TCP connection, or no answer in time */
    VMF_ERROR_PEER_UNTRUSTED,      /* one side's certificate is not trusted by the other */
    VMF_ERROR_PEER_NAME_MISMATCH,  /* trusted, but the certificate bears another name */
    VMF_ERROR_PEER_REFUSED,        /* the peer's configuration does not let us do this */
    VMF_ERROR_PROTOCOL_VERSION,    /* the two sides share no protocol version */
    VMF_ERROR_PROTOCOL,            /* the other side broke the protocol */
    VMF_ERROR_FEATURE_MISSING,     /* one side requires what the other does not have or refuses */
    VMF_ERROR_AGREEMENT_REFUSED,   /* no such agreement, or it is used, expired or another's */
    VMF_ERROR_TICKET_REFUSED,      /* a data connection with an unknown, used or expired ticket */
    VMF_ERROR_LINK_BROKEN,         /* a connection ended before its work did */
    VMF_ERROR_LIMIT_REACHED,       /* a configured or built-in limit, or one of the host */
    VMF_ERROR_LIBVIRT_UNAVAILABLE, /* libvirtd cannot be reached */
    VMF_ERROR_LIBVIRT_FAILED,      /* libvirt or QEMU refused or failed */
    VMF_ERROR_PUMP_FAILED,         /* vmferry-pump could not start, or died */
    VMF_ERROR_CANCELLED,           /* somebody asked for it */
    VMF_ERROR_TIMED_OUT,           /* a step took longer than it may */
    VMF_ERROR_BAD_STREAM,          /* a migration stream, save image or dump that is broken */
    VMF_ERROR_INCOMPATIBLE,        /* the destination cannot take this guest as it is */
    VMF_ERROR_LAST
} VmfError;

#define VMF_ERROR (vmf_error_quark())
#define VMF_ERROR_PREFIX "org.vmferry1.Error."

/* Registers the table with GDBus the first time; call it early in main(). */
GQuark vmf_error_quark(void);

/* The D-Bus name of a code; static. */
const char *vmf_error_name(VmfError code);

/* The code of a D-Bus name, or VMF_ERROR_FAILED for a name that is not in the table. */
VmfError vmf_error_from_name(const char *name);

/*
 * What a bus client should see of any GError: a VMF_ERROR as it is, with the D-Bus decoration of a
 * remote error removed and its message cleaned; a connection that ended as VMF_ERROR_LINK_BROKEN; no
 * room or no descriptor as VMF_ERROR_LIMIT_REACHED; others as VMF_ERROR_FAILED with their message.
 * Takes `error`.
 */
GError *vmf_error_normalize(GError *error);

/* Likewise of errno: "`what`: No space left on device". Returns FALSE. */
gboolean vmf_error_set_errno(GError **error, const char *what);

/*
 * Text from another host, fit for a log line and a terminal: at most 1000 bytes, and a space for
 * each control character. The caller's.
 */
char *vmf_text_clean(const char *text);
