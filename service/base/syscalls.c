/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/syscalls.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>

#include "base/error.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* What parsing, compressing and carrying between descriptors takes. */
static const char *const allowed[] = {
    /* bytes and descriptors */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "_llseek", "close", "dup",
    "fcntl", "fcntl64", "fstat", "fstat64", "newfstatat", "fstatat64", "statx", "eventfd2", "pipe2",
    "poll", "ppoll", "ppoll_time64", "ioctl", "openat",
    /* sockets that are there */
    "recvfrom", "recvmsg", "recv", "sendto", "sendmsg", "send", "accept4", "getsockopt",
    "setsockopt", "getsockname", "getpeername", "shutdown",
    /* memory */
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise",
    /* threads of its own */
    "futex", "futex_time64", "set_robust_list", "rseq", "sched_getattr", "sched_setattr",
    "sched_getaffinity", "sched_yield", "gettid", "tgkill", "exit", "exit_group", "membarrier",
    /* signals, time, what it is */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    "clock_gettime", "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "nanosleep",
    "gettimeofday", "time", "getrandom", "getpid", "getppid", "getuid", "geteuid", "getgid",
    "getegid", "getresuid", "getrusage", "getrlimit", "ugetrlimit", "prlimit64", "prctl", "sysinfo",
    "uname", "getcpu"};

/* What only an intruder would try. */
static const char *const deadly[] = {"execve",
                                     "execveat",
                                     "fork",
                                     "vfork",
                                     "ptrace",
                                     "process_vm_readv",
                                     "process_vm_writev",
                                     "pidfd_getfd",
                                     "socket",
                                     "socketpair",
                                     "connect",
                                     "bind",
                                     "listen",
                                     "mount",
                                     "umount2",
                                     "pivot_root",
                                     "chroot",
                                     "move_mount",
                                     "fsopen",
                                     "open_tree",
                                     "unshare",
                                     "setns",
                                     "open_by_handle_at",
                                     "name_to_handle_at",
                                     "bpf",
                                     "perf_event_open",
                                     "io_uring_setup",
                                     "userfaultfd",
                                     "keyctl",
                                     "add_key",
                                     "request_key",
                                     "init_module",
                                     "finit_module",
                                     "kexec_load",
                                     "kexec_file_load",
                                     "personality",
                                     "setuid",
                                     "setresuid",
                                     "setgid",
                                     "setresgid",
                                     "setgroups",
                                     "capset",
                                     "kill",
                                     "memfd_create"};

/* Names of other architectures are skipped: libseccomp knows them, but has no number. */
static int
vmf_syscalls_add(scmp_filter_ctx filter, uint32_t action, const char *const *names, gsize n)
{
    for (gsize i = 0; i < n; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        int failed = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, action, number, 0);

        if (failed)
            return failed;
    }
    return 0;
}

/* Threads may be made, processes not. clone3 keeps its flags where no filter can look. */
static int
vmf_syscalls_add_threads(scmp_filter_ctx filter)
{
    int failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    return failed;
}

static int
vmf_syscalls_load(scmp_filter_ctx filter)
{
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree */

    if (!failed)
        failed = vmf_syscalls_add(filter, SCMP_ACT_ALLOW, allowed, G_N_ELEMENTS(allowed));
    if (!failed)
        failed = vmf_syscalls_add(filter, SCMP_ACT_KILL_PROCESS, deadly, G_N_ELEMENTS(deadly));
    if (!failed)
        failed = vmf_syscalls_add_threads(filter);
    return failed ? failed : seccomp_load(filter);
}

gboolean
vmf_syscalls_restrict(GError **error)
{
    scmp_filter_ctx filter;
    int failed;

    if (SANITIZED)
        return TRUE;
    filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    failed = filter ? vmf_syscalls_load(filter) : -ENOMEM;
    if (filter)
        seccomp_release(filter);
    if (!failed)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED,
                "cannot confine this process: filtering its system calls: %s; does the kernel have "
                "CONFIG_SECCOMP_FILTER?",
                g_strerror(-failed));
    return FALSE;
}
