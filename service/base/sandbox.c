/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"

#ifdef __SANITIZE_ADDRESS__
/* It looks for leaks by /proc, which a confined process has not got. Unit tests find them. */
int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
    return 1;
}
#endif

/* Any directory does: it is covered in our own mount namespace only. */
#define COVERED "/tmp"

static gboolean
vmf_sandbox_fail(const char *what, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "cannot confine this process: %s: %s", what,
                g_strerror(errno));
    return FALSE;
}

/* TRUE if what follows lives in namespaces of its own. */
static gboolean
vmf_sandbox_unshare(void)
{
    if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS) == 0)
        return TRUE;
    vmf_debug(NULL, "no namespaces of its own for this process: %s", g_strerror(errno));
    return FALSE;
}

/* Makes an empty directory the root, and the old root unreachable. */
static gboolean
vmf_sandbox_empty_root(GError **error)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return vmf_sandbox_fail("making mounts private", error);
    if (mount("vmferry", COVERED, "tmpfs", flags, "size=4k,nr_inodes=2,mode=0555") < 0)
        return vmf_sandbox_fail("mounting an empty directory", error);
    if (mount(NULL, COVERED, NULL, flags | MS_REMOUNT | MS_RDONLY, NULL) < 0)
        return vmf_sandbox_fail("making it read-only", error);
    if (chdir(COVERED) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return vmf_sandbox_fail("pivot_root", error);
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return vmf_sandbox_fail("leaving the old root", error);
    return TRUE;
}

static gboolean
vmf_sandbox_become(const struct passwd *user, GError **error)
{
    uid_t r, e, s;

    if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        return vmf_sandbox_fail("becoming another user", error);
    /* capabilities go with uid 0; trust, but verify */
    errno = EPERM;
    if (getresuid(&r, &e, &s) < 0 || r == 0 || e == 0 || s == 0 || setuid(0) == 0)
        return vmf_sandbox_fail("staying another user", error);
    return TRUE;
}

static gboolean
vmf_sandbox_leave_root(const char *name, GError **error)
{
    const struct passwd *user = getpwnam(name);

    if (!user || user->pw_uid == 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION,
                    "cannot run as user \"%s\": create that user, without privileges", name);
        return FALSE;
    }
    if (vmf_sandbox_unshare() && !vmf_sandbox_empty_root(error))
        return FALSE;
    return vmf_sandbox_become(user, error);
}

static gboolean
vmf_sandbox_limit(int resource, rlim_t most, const char *what, GError **error)
{
    const struct rlimit limit = {most, most};

    return setrlimit(resource, &limit) == 0 || vmf_sandbox_fail(what, error);
}

static gboolean
vmf_sandbox_set_limits(const VmfSandbox *sandbox, GError **error)
{
    gsize memory = sandbox->memory;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    memory = 0; /* they reserve terabytes of addresses */
#endif
    return vmf_sandbox_limit(RLIMIT_CORE, 0, "RLIMIT_CORE", error) &&
           vmf_sandbox_limit(RLIMIT_NOFILE, sandbox->files, "RLIMIT_NOFILE", error) &&
           (memory == 0 || vmf_sandbox_limit(RLIMIT_AS, memory, "RLIMIT_AS", error)) &&
           (sandbox->seconds == 0 ||
            vmf_sandbox_limit(RLIMIT_CPU, sandbox->seconds, "RLIMIT_CPU", error));
}

/* vmferryd runs before guests, as it decides about them; whoever carries bytes has its turn with
 * them. To give this away takes no privilege. */
static void
vmf_sandbox_be_ordinary(void)
{
    if (getpriority(PRIO_PROCESS, 0) < 0 && setpriority(PRIO_PROCESS, 0, 0) < 0)
        vmf_debug(NULL, "this process keeps its priority: %s", g_strerror(errno));
}

gboolean
vmf_sandbox_enter(const VmfSandbox *sandbox, GError **error)
{
    vmf_sandbox_be_ordinary();
    if (!vmf_sandbox_set_limits(sandbox, error))
        return FALSE;
    if (geteuid() != 0)
        vmf_debug(NULL, "not root: this process stays who and where it is");
    else if (!vmf_sandbox_leave_root(sandbox->user, error))
        return FALSE;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return vmf_sandbox_fail("no-new-privileges", error);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return vmf_sandbox_fail("not being traced", error);
    return vmf_syscalls_restrict(error);
}
