/* How a command of the guest ends: all that it started goes - guest-run.c is a subreaper, so that is below it - and its supervisor ends as it did. */
#define _GNU_SOURCE
#include "guest-ending.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PID (1 << 22) /* the kernel's PID_MAX_LIMIT */
#define MAX_PROCESSES 65536

static DIR *proc;
static pid_t parent_of[MAX_PID + 1];

int find_processes(void) {
  return (proc = opendir("/proc")) ? 0 : -1;
}

/* Parent of a living process; 0 when it is gone or only waits to be reaped. */
static pid_t read_parent(const char *pid) {
  char path[32], text[512], state;
  int parent = 0;
  snprintf(path, sizeof path, "%s/stat", pid);
  int fd = openat(dirfd(proc), path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  char *after = strrchr(text, ')'); /* the name before it may hold anything, a parenthesis too */
  if (!after || sscanf(after + 1, " %c %d", &state, &parent) != 2) return 0;
  return state == 'Z' || state == 'X' ? 0 : parent;
}

static int is_descendant(pid_t pid, pid_t ancestor) {
  for (int steps = 0; steps < MAX_PROCESSES && pid > 1; steps++, pid = parent_of[pid])
    if (parent_of[pid] == ancestor) return 1;
  return 0;
}

/* Sends a signal to everything below us; returns a digest of whom it was sent to, 0 for nobody. */
static uint64_t signal_descendants(int number) {
  static pid_t pids[MAX_PROCESSES];
  size_t count = 0;
  uint64_t digest = 0;
  pid_t self = getpid();
  struct dirent *entry;
  rewinddir(proc);
  while ((entry = readdir(proc)) && count < MAX_PROCESSES) {
    pid_t pid = atoi(entry->d_name);
    if (pid <= 0 || pid > MAX_PID || !(parent_of[pid] = read_parent(entry->d_name))) continue;
    pids[count++] = pid;
    if (parent_of[pid] == self) kill(pid, number); /* at once: an orphan that forks and exits is caught only so */
  }
  for (size_t index = 0; index < count; index++) {
    if (!is_descendant(pids[index], self)) continue;
    kill(pids[index], number);
    digest += (uint64_t)pids[index] * 0x9e3779b97f4a7c15u | 1;
  }
  for (size_t index = 0; index < count; index++) parent_of[pids[index]] = 0;
  return digest;
}

/*
 * First the group that the command started in, with one call: what has not left it, most fork storms too, is gone.
 * Then stops all, then kills all: killing at once would free the places that a fork storm at its limit waits for.
 * All are stopped when two passes in a row found the same processes. Realtime priority outruns those who still fork.
 */
void kill_descendants(pid_t main_child, int is_leader, int *status) {
  struct sched_param priority = {1};
  if (is_leader) kill(-main_child, SIGKILL); /* its number is not taken anew while a process of the group lives */
  for (int pass = 0;; pass++) {
    pid_t pid;
    int ended;
    while ((pid = waitpid(-1, &ended, WNOHANG)) > 0)
      if (pid == main_child) *status = ended;
    if (pid < 0 && errno == ECHILD) return;
    if (pass == 0) sched_setscheduler(0, SCHED_FIFO, &priority);
    uint64_t before = 0, now;
    for (int tries = 0; tries < 100 && (now = signal_descendants(SIGSTOP)) != before; tries++) before = now;
    signal_descendants(SIGKILL);
    usleep(500); /* with one processor they can only die while we sleep */
  }
}

void end_like(int status) {
  static const int named[] = {SIGABRT, SIGALRM, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSEGV, SIGTERM, SIGUSR1, SIGUSR2};
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  int number = WTERMSIG(status);
  for (size_t index = 0; index < sizeof named / sizeof *named; index++) {
    if (named[index] != number) continue;
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    prctl(PR_SET_DUMPABLE, 0); /* no core of ours */
    signal(number, SIG_DFL);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
  }
  _exit(128 + number);
}
