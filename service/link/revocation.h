/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Certificates that their authority has revoked: the lists of a TLS directory's cacrl.pem
 * (libvirt's name), which GIO's TLS does not look at.
 *
 * A list counts as long as it is there, also when its next one is overdue: what it names stays
 * revoked. Reads files; not changed afterwards, so any thread may ask.
 */
#pragma once

#include <gio/gio.h>

typedef struct VmfRevocations VmfRevocations;

/*
 * NULL without an error: there is no such file, and so nothing revoked. `authorities` is the file
 * of the certificates that must have signed it. Error: BAD_CONFIGURATION, with the file's name.
 */
VmfRevocations *vmf_revocations_load(const char *file, const char *authorities, GError **error);
void vmf_revocations_free(VmfRevocations *revocations);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfRevocations, vmf_revocations_free)

/* Whether a certificate, or one that it is signed by, is among them. `revocations` may be NULL. */
gboolean vmf_revocations_have(const VmfRevocations *revocations, GTlsCertificate *certificate);
