/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/confine.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"

#define NO_EXEC 127 /* as a shell says it */
#define OPEN_FILES 128
#define FILE_SIZE (16 << 20)

gboolean
vmf_confinement_prepare(VmfConfinement *self, const char *user, GError **error)
{
    char buffer[4096];
    struct passwd entry;
    struct passwd *found = NULL;

    self->uid = geteuid();
    self->gid = getegid();
    if (self->uid != 0)
        return TRUE;
    if (getpwnam_r(user, &entry, buffer, sizeof buffer, &found) != 0 || !found ||
        found->pw_uid == 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION,
                    "emulators cannot be asked as user \"%s\": create that user, without "
                    "privileges",
                    user);
        return FALSE;
    }
    self->uid = found->pw_uid;
    self->gid = found->pw_gid;
    return TRUE;
}

static gboolean
limit(int resource, guint64 value)
{
    const struct rlimit bound = {value, value};

    return setrlimit((__rlimit_resource_t)resource, &bound) == 0;
}

/* Some containers give none; the user and the limits are there in any case. */
static void
leave_world(void)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};

    if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS) != 0)
        return;
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0)
        (void)mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof read_only);
}

static gboolean
become(const VmfConfinement *self)
{
    return setgroups(0, NULL) == 0 && setresgid(self->gid, self->gid, self->gid) == 0 &&
           setresuid(self->uid, self->uid, self->uid) == 0 && setuid(0) != 0;
}

void
vmf_confinement_enter(gpointer data)
{
    const VmfConfinement *self = data;
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        _exit(NO_EXEC);
    if (geteuid() == 0) {
        leave_world();
        if (!become(self))
            _exit(NO_EXEC);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* becoming somebody else clears it */
    }
    if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_AS, self->space) ||
        !limit(RLIMIT_CPU, self->seconds) || !limit(RLIMIT_NOFILE, OPEN_FILES) ||
        !limit(RLIMIT_FSIZE, FILE_SIZE) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(NO_EXEC);
}
