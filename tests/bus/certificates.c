/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <glib/gstdio.h>

static void
certtool(const char *directory, const char *const *arguments)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autoptr(GSubprocess) process = NULL;
    g_autofree char *output = NULL;
    g_auto(GStrv) argv = NULL;

    g_strv_builder_add(builder, "certtool");
    g_strv_builder_addv(builder, (const char **)arguments);
    argv = g_strv_builder_end(builder);
    g_subprocess_launcher_set_cwd(launcher, directory);
    process = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv, NULL);
    assert_non_null(process);
    assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &output, NULL, NULL));
    if (!g_subprocess_get_successful(process))
        fail_msg("certtool %s: %s", arguments[0], output);
}

static void
write_text(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
make_key(const char *directory, const char *file)
{
    const char *const arguments[] = {
        "--generate-privkey", "--key-type=ecdsa", "--curve=secp256r1", "--outfile", file, NULL};

    certtool(directory, arguments);
}

void
vmf_ca_make(const char *directory)
{
    const char *const arguments[] = {"--generate-self-signed",
                                     "--load-privkey",
                                     "cakey.pem",
                                     "--template",
                                     "ca.info",
                                     "--outfile",
                                     "cacert.pem",
                                     NULL};

    assert_int_equal(g_mkdir_with_parents(directory, 0700), 0);
    write_text(directory, "ca.info",
               "cn = \"a test's CA\"\nca\ncert_signing_key\nexpiration_days = 2\n");
    make_key(directory, "cakey.pem");
    certtool(directory, arguments);
}

/* In certtool's words. */
static char *
make_validity(VmfCertificate kind)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autoptr(GDateTime) soon = g_date_time_add_seconds(now, VMF_BRIEF);

    if (kind == VMF_CERTIFICATE_EXPIRED)
        return g_strdup("activation_date = \"2020-01-01\"\nexpiration_date = \"2020-02-01\"\n");
    if (kind == VMF_CERTIFICATE_BRIEF)
        return g_date_time_format(soon, "expiration_date = \"%Y-%m-%d %H:%M:%S UTC\"\n");
    return g_strdup("expiration_days = 2\n");
}

static void
trust(const char *directory, const char *cert)
{
    g_autofree char *trusted = NULL;

    assert_true(g_file_get_contents(cert, &trusted, NULL, NULL));
    write_text(directory, "cacert.pem", trusted);
}

void
vmf_certificate_revoke(const char *ca, const char *directory, const char *revoked)
{
    g_autofree char *cert = g_build_filename(ca, "cacert.pem", NULL);
    g_autofree char *key = g_build_filename(ca, "cakey.pem", NULL);
    g_autofree char *theirs = g_build_filename(revoked, "servercert.pem", NULL);
    const char *const arguments[] = {"--generate-crl",
                                     "--load-ca-certificate",
                                     cert,
                                     "--load-ca-privkey",
                                     key,
                                     "--load-certificate",
                                     theirs,
                                     "--template",
                                     "crl.info",
                                     "--outfile",
                                     "cacrl.pem",
                                     NULL};

    write_text(directory, "crl.info", "crl_next_update = 2\ncrl_number = 1\n");
    certtool(directory, arguments);
}

void
vmf_certificate_make(const char *ca, const char *directory, const char *name, VmfCertificate kind)
{
    g_autofree char *other_ca = g_build_filename(directory, "other-ca", NULL);
    const char *signer = kind == VMF_CERTIFICATE_OTHER_CA ? other_ca : ca;
    g_autofree char *cert = g_build_filename(signer, "cacert.pem", NULL);
    g_autofree char *key = g_build_filename(signer, "cakey.pem", NULL);
    g_autofree char *validity = make_validity(kind);
    g_autofree char *info = g_strdup_printf(
        "cn = \"%s\"\ndns_name = \"%s\"\ntls_www_server\ntls_www_client\nsigning_key\n%s", name,
        kind == VMF_CERTIFICATE_OTHER_NAME ? "elsewhere" : name, validity);
    const char *const arguments[] = {"--generate-certificate",
                                     "--load-privkey",
                                     "serverkey.pem",
                                     "--load-ca-certificate",
                                     cert,
                                     "--load-ca-privkey",
                                     key,
                                     "--template",
                                     "server.info",
                                     "--outfile",
                                     "servercert.pem",
                                     NULL};
    const char *const by_itself[] = {"--generate-self-signed",
                                     "--load-privkey",
                                     "serverkey.pem",
                                     "--template",
                                     "server.info",
                                     "--outfile",
                                     "servercert.pem",
                                     NULL};

    assert_int_equal(g_mkdir_with_parents(directory, 0700), 0);
    if (kind == VMF_CERTIFICATE_OTHER_CA)
        vmf_ca_make(other_ca);
    write_text(directory, "server.info", info);
    make_key(directory, "serverkey.pem");
    certtool(directory, kind == VMF_CERTIFICATE_SELF_SIGNED ? by_itself : arguments);
    trust(directory, cert);
}
