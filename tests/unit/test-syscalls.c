/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The filter for system calls: threads and bytes go on, what an intruder would do ends the process,
 * and what nobody thought of is not there. Each case is a child of its own.
 */
#include "cmocka-all.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/syscalls.h"
#include "valgrind.h"

#define FAILED 99 /* the filter could not be had */

typedef int (*VmfDeed)(void);

/* How a confined child ends that does this, as waitpid() says it. */
static int
status_of(VmfDeed deed)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !vmf_syscalls_restrict(NULL))
            _exit(FAILED);
        _exit(deed());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void
assert_killed(const char *name, VmfDeed deed)
{
    int status = status_of(deed);

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
        fail_msg("%s: not SIGSYS, but status %#x", name, status);
}

static int
open_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int
run_a_program(void)
{
    return execl("/bin/true", "true", NULL);
}

static int
make_a_process(void)
{
    return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static int
enter_a_namespace(void)
{
    return unshare(CLONE_NEWUSER);
}

static int
trace(void)
{
    return (int)syscall(SYS_ptrace, 0, 0, 0, 0);
}

/*
 * A sanitizer makes calls of its own, so a build with one has no filter; and valgrind takes the
 * signal that ends a process for itself.
 */
static void
skip_if_sanitized(void)
{
    if (vmf_under_valgrind()) {
        print_message("skipped: valgrind is no process that a filter can end\n");
        skip();
    }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: a build with a sanitizer has no filter\n");
    skip();
#endif
}

static void
test_deadly(void **state)
{
    skip_if_sanitized();
    assert_killed("socket", open_socket);
    assert_killed("execve", run_a_program);
    assert_killed("clone", make_a_process);
    assert_killed("unshare", enter_a_namespace);
    assert_killed("ptrace", trace);
}

static int
call_the_unknown(void)
{
    return syscall(SYS_acct, NULL) == -1 ? errno : 0;
}

static void
test_unknown(void **state)
{
    int status = status_of(call_the_unknown);

    skip_if_sanitized();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ENOSYS);
}

static gpointer
answer(gpointer data)
{
    return GINT_TO_POINTER(7);
}

/* Threads of GLib's, a pipe between them, a mapping, a file that may be opened. */
static int
work(void)
{
    g_autofree char *much = g_malloc0(8 << 20);
    int ends[2];
    char byte = 1;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || pipe2(ends, O_CLOEXEC) < 0 || write(ends[1], &byte, 1) != 1 ||
        read(ends[0], &byte, 1) != 1)
        return 1;
    g_usleep(1000);
    return GPOINTER_TO_INT(g_thread_join(g_thread_new("a", answer, NULL)));
}

static void
test_work_goes_on(void **state)
{
    int status = status_of(work);

    skip_if_sanitized();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadly),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_work_goes_on),
    };

    return cmocka_run_group_tests_name("syscalls", tests, NULL, NULL);
}
