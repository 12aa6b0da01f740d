/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lab-host PIDFILE COMMAND [ARG...]: makes one host of the lab.
 *
 * Opens new mount, pid, net, uts and ipc namespaces, runs COMMAND in them to set the host up, and
 * returns when COMMAND has ended: with its status. What stays behind is process 1 of the host,
 * which only collects orphans; its pid as seen from outside, and its start time (so that a pid that
 * was used again is not mistaken for it), are in PIDFILE. Killing it ends every process of the
 * host, and with the last one go its mounts and interfaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void
die(const char *what)
{
    fprintf(stderr, "lab-host: %s: %s\n", what, strerror(errno));
    exit(1);
}

/*
 * Field 22 of /proc/PID/stat: when the process started, in clock ticks since boot. `proc` is the
 * machine's /proc: by now the host's may be mounted over it, which knows other pids.
 */
static unsigned long long
process_start_time(int proc, pid_t pid)
{
    char path[64], line[1024] = "";
    unsigned long long start = 0;

    snprintf(path, sizeof path, "%d/stat", (int)pid);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd == -1 || read(fd, line, sizeof line - 1) <= 0)
        die(path);
    close(fd);

    /* the name in field 2 may hold anything, but it ends with the last parenthesis */
    char *rest = strrchr(line, ')');
    if (rest == NULL ||
        sscanf(rest + 1,
               " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
               " %*s %*s %llu",
               &start) != 1)
        die(path);
    return start;
}

static void
write_pidfile(const char *path, int proc, pid_t pid)
{
    FILE *f = fopen(path, "we");

    if (f == NULL || fprintf(f, "%d %llu\n", (int)pid, process_start_time(proc, pid)) < 0 ||
        fclose(f) != 0)
        die(path);
}

/* Waits for `child`, collecting whatever else ends meanwhile; its status as a shell gives it. */
static int
wait_for(pid_t child)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);

        if (pid == -1 && errno != EINTR)
            die("waitpid");
        if (pid == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

static void
collect_orphans(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        sigwaitinfo(&set, NULL);
    }
}

static void
let_go_of_the_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null == -1)
        die("/dev/null");
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd);
    close_range(3, ~0U, 0);
}

/* Process 1 of the host. Writes COMMAND's exit status to `result`, and stays if that was 0. */
static void
run_host(int result, char **command)
{
    sigset_t set, old;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &old);
    setsid();
    prctl(PR_SET_NAME, "lab-host-init");
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL) == -1)
        die("mount /proc");

    pid_t child = fork();
    if (child == -1)
        die("fork");
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        execvp(command[0], command);
        die(command[0]);
    }

    unsigned char status = (unsigned char)wait_for(child);
    if (write(result, &status, 1) != 1 || status != 0)
        exit(1);
    let_go_of_the_terminal();
    collect_orphans();
}

int
main(int argc, char **argv)
{
    int result[2];
    unsigned char status;

    if (argc < 3) {
        fprintf(stderr, "usage: lab-host PIDFILE COMMAND [ARG...]\n");
        return 2;
    }
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc == -1 || pipe2(result, O_CLOEXEC) == -1)
        die("/proc or pipe");
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID) == -1)
        die("unshare (are you root?)");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
        die("make mounts private");

    pid_t init = fork();
    if (init == -1)
        die("fork");
    if (init == 0) {
        close(result[0]);
        run_host(result[1], argv + 2);
    }
    close(result[1]);
    write_pidfile(argv[1], proc, init);
    return read(result[0], &status, 1) == 1 ? status : 1;
}
