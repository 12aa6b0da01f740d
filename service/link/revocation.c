/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/revocation.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <gnutls/x509.h>

#include "base/error.h"

/* Old lists are taken: see the header. */
#define VMF_BAD_SIGNATURE                                                                          \
    (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA | GNUTLS_CERT_SIGNATURE_FAILURE |    \
     GNUTLS_CERT_INSECURE_ALGORITHM)

struct VmfRevocations {
    gnutls_x509_crl_t *lists;
    guint n_lists;
};

void
vmf_revocations_free(VmfRevocations *self)
{
    for (guint i = 0; i < self->n_lists; i++)
        gnutls_x509_crl_deinit(self->lists[i]);
    gnutls_free(self->lists);
    g_free(self);
}

static gboolean
vmf_revocations_fail(const char *file, const char *why, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: %s", file, why);
    return FALSE;
}

static gboolean
vmf_revocations_read(VmfRevocations *self, const char *file, GError **error)
{
    g_autoptr(GMappedFile) text = g_mapped_file_new(file, FALSE, error);
    gnutls_datum_t data;
    int result;

    if (!text) {
        g_prefix_error(error, "%s: ", file);
        return FALSE;
    }
    data = (gnutls_datum_t){(unsigned char *)g_mapped_file_get_contents(text),
                            (unsigned int)g_mapped_file_get_length(text)};
    result =
        gnutls_x509_crl_list_import2(&self->lists, &self->n_lists, &data, GNUTLS_X509_FMT_PEM, 0);
    return result >= 0 || vmf_revocations_fail(file, gnutls_strerror(result), error);
}

/* Somebody else's list could keep every peer out. */
static gboolean
vmf_revocations_check(const VmfRevocations *self, const char *file, gnutls_x509_crt_t *signers,
                      guint n_signers, GError **error)
{
    for (guint i = 0; i < self->n_lists; i++) {
        unsigned int status = 0;

        if (gnutls_x509_crl_verify(self->lists[i], signers, (int)n_signers, 0, &status) < 0 ||
            status & VMF_BAD_SIGNATURE)
            return vmf_revocations_fail(
                file, "a list in it is not signed by an authority in cacert.pem", error);
    }
    return TRUE;
}

static gboolean
vmf_revocations_are_signed(const VmfRevocations *self, const char *file, const char *authorities,
                           GError **error)
{
    g_autofree char *text = NULL;
    gsize length;
    gnutls_x509_crt_t *signers = NULL;
    guint n_signers = 0;
    gboolean right;

    if (!g_file_get_contents(authorities, &text, &length, error))
        return FALSE;
    if (gnutls_x509_crt_list_import2(&signers, &n_signers,
                                     &(gnutls_datum_t){(unsigned char *)text, (unsigned int)length},
                                     GNUTLS_X509_FMT_PEM, 0) < 0)
        return vmf_revocations_fail(authorities, "no certificates can be read from it", error);
    right = vmf_revocations_check(self, file, signers, n_signers, error);
    for (guint i = 0; i < n_signers; i++)
        gnutls_x509_crt_deinit(signers[i]);
    gnutls_free(signers);
    return right;
}

VmfRevocations *
vmf_revocations_load(const char *file, const char *authorities, GError **error)
{
    g_autoptr(VmfRevocations) self = NULL;
    g_autoptr(GError) problem = NULL;
    GStatBuf status;

    if (g_lstat(file, &status) < 0 && errno == ENOENT) /* a link that leads nowhere is a mistake */
        return NULL;
    self = g_new0(VmfRevocations, 1);
    if (vmf_revocations_read(self, file, &problem) &&
        vmf_revocations_are_signed(self, file, authorities, &problem))
        return g_steal_pointer(&self);
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, problem->message);
    return NULL;
}

static gboolean
vmf_revocations_have_one(const VmfRevocations *self, GTlsCertificate *certificate)
{
    g_autoptr(GByteArray) bytes = NULL;
    gnutls_x509_crt_t copy;
    gboolean found;

    g_object_get(certificate, "certificate", &bytes, NULL);
    if (!bytes || gnutls_x509_crt_init(&copy) < 0)
        return TRUE; /* not to be had from a certificate that was verified */
    found = gnutls_x509_crt_import(copy, &(gnutls_datum_t){bytes->data, bytes->len},
                                   GNUTLS_X509_FMT_DER) < 0 ||
            gnutls_x509_crt_check_revocation(copy, self->lists, (int)self->n_lists) != 0;
    gnutls_x509_crt_deinit(copy);
    return found;
}

gboolean
vmf_revocations_have(const VmfRevocations *self, GTlsCertificate *certificate)
{
    for (; self && certificate; certificate = g_tls_certificate_get_issuer(certificate))
        if (vmf_revocations_have_one(self, certificate))
            return TRUE;
    return FALSE;
}
