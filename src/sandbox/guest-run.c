/*
 * The supervisor in the guest: runs one command as one user and leaves no process behind.
 *
 *   run ID              stdin is a line "USER BYTES" or "USER BYTES sudo", BYTES bytes of preamble, then the command's own
 *                       stdin. It may stand ready for long before the line comes: its start is most of what a short
 *                       command costs. Without the word, USER stays what it is: see build_walls
 *   run ID USER BYTES CONNECTION
 *                       for guest-sudo.c: the preamble comes from that descriptor. When the command ends, two numbers go
 *                       there, its status and whether processes of it are left; these live as long as the other end
 *   run --ender         ends commands early: for each line with an ID a line with 0, or 1 when its supervisor was
 *                       killed. It waits for nothing, and it runs before it is needed: in a fork storm under gVisor
 *                       the start of one more process takes longer than a person waits
 *   run -c LINE         the same words in one line: it is the login shell that sshd starts, so that no other is
 *
 * Preamble: NUL-terminated strings: working directory, number of arguments, the arguments, then NAME=value pairs.
 * Ends as the command ended: same code, or by the same signal (128+n for a signal that SSH has no name for).
 * 125: the supervisor itself failed; 126: not executable; 127: command or working directory not found.
 *
 * How nothing is left: the supervisor is a child subreaper, so whatever the command starts (setsid, nohup, double
 * fork, env -i) stays below it in the process tree. It returns only when waitpid says that it has no child. No control
 * group is needed, so the same binary works under gVisor. Root in the guest can kill the supervisor itself; the
 * host then learns it from the ender and throws the whole VM away.
 *
 * A command that has begun is the symbolic link RUN_DIR/ID -> pid: made and read in one step, and only once, so
 * the ender takes the name of a command that has not begun yet, and it never runs.
 */
#define _GNU_SOURCE
#include "guest-ending.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef RUN_DIR
#define RUN_DIR "/run/mayfly"
#endif
#define MAX_PREAMBLE (1 << 20)
#define AGENT_PROCESSES 1024
#define AGENT_HOME "/home/agent"

struct preamble {
  char *cwd;
  char **argv;
  char **env; /* ends with NULL, like argv */
};

static int connection = -1; /* to the sudo that asked; -1: the host did */
static int may_gain;        /* the command may become root: by sudo, setuid programs, file capabilities */

static void fail(int code, const char *what, const char *name) {
  dprintf(2, "mayfly: %s%s%s: %s\n", what, *name ? " " : "", name, strerror(errno));
  _exit(code);
}

static void write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, text, strlen(text)) < 0) { /* best effort: gVisor may refuse */
  }
  close(fd);
}

/* Exactly `size` bytes: what follows belongs to the command. */
static struct preamble read_preamble(size_t size) {
  char *text = malloc(size + 1), **strings = malloc((size + 2) * sizeof *strings);
  size_t filled = 0, count = 0;
  int source = connection < 0 ? 0 : connection;
  if (!text || !strings) fail(125, "preamble", "");
  while (filled < size) {
    ssize_t got = read(source, text + filled, size - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail(125, "preamble cut short", "");
    filled += got;
  }
  text[size] = 0;
  for (char *at = text; at < text + size; at += strlen(at) + 1) strings[count++] = at;
  strings[count] = NULL;
  size_t argc = count >= 2 ? strtoul(strings[1], NULL, 10) : 0;
  errno = EINVAL;
  if (argc < 1 || argc > count - 2) fail(125, "preamble", "");
  char **argv = malloc((argc + 1) * sizeof *argv);
  if (!argv) fail(125, "preamble", "");
  memcpy(argv, strings + 2, argc * sizeof *argv);
  argv[argc] = NULL;
  return (struct preamble){strings[0], argv, strings + 2 + argc};
}

/*
 * Whatever setup has left - a setuid shell, a file with capabilities, a rule of sudo - has no effect on who runs it
 * from here: https://docs.kernel.org/userspace-api/no_new_privs.html. Not the groups either, one of which may own the
 * disk. As root still, since only root may make its bounding set smaller.
 */
static void build_walls(size_t *groups) {
  *groups = 1;
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)) fail(125, "capabilities", "");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail(125, "no_new_privs", "");
}

/* Not getpwnam and initgroups: in a static binary they load the guest's name service libraries. */
static void become(const char *name) {
  gid_t groups[64];
  size_t count = 0;
  struct passwd *user;
  struct group *group;
  FILE *users = fopen("/etc/passwd", "re"), *all = fopen("/etc/group", "re");
  if (!users || !all) fail(125, "user", name);
  errno = ENOENT;
  while ((user = fgetpwent(users)) && strcmp(user->pw_name, name)) errno = ENOENT;
  if (!user) fail(125, "user", name);
  errno = EPERM; /* a list of users that setup left open must not make root of another name */
  if (!user->pw_uid && strcmp(name, "root")) fail(125, "user", name);
  groups[count++] = user->pw_gid;
  while ((group = fgetgrent(all)))
    for (char **member = group->gr_mem; *member; member++)
      if (count < 64 && !strcmp(*member, name)) groups[count++] = group->gr_gid;
  if (user->pw_uid) {
    struct rlimit processes = {AGENT_PROCESSES, AGENT_PROCESSES};
    setrlimit(RLIMIT_NPROC, &processes);
    for (int fd = 0; fd < 3 && connection < 0; fd++) /* so that /dev/stdout can be opened by its user */
      if (fchown(fd, user->pw_uid, -1)) continue;
  }
  if (user->pw_uid && !may_gain) build_walls(&count);
  if (setgroups(count, groups) || setgid(user->pw_gid) || setuid(user->pw_uid)) fail(125, "user", name);
  clearenv();
  setenv("HOME", user->pw_dir, 1);
  setenv("USER", name, 1);
  setenv("LOGNAME", name, 1);
  setenv("SHELL", user->pw_shell, 1);
  setenv("LANG", "C.UTF-8", 1);
  setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
  if (!user->pw_uid) return;
  /* pip and npm install for the agent without root: in a virtual environment that is active, and in ~/.local */
  if (!access(AGENT_HOME "/venv", F_OK)) setenv("VIRTUAL_ENV", AGENT_HOME "/venv", 1);
  setenv("PATH", AGENT_HOME "/venv/bin:" AGENT_HOME "/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
}

static void run_command(const char *user, struct preamble command) {
  sigset_t none;
  sigemptyset(&none);
  for (int number = 1; number < 32; number++) signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  umask(022);
  setpriority(PRIO_PROCESS, 0, 0);
  write_file("/proc/self/oom_score_adj", "0");
  become(user);
  for (char **pair = command.env; *pair; pair++) putenv(*pair);
  if (chdir(command.cwd)) fail(errno == EACCES ? 126 : 127, "working directory", command.cwd);
  execvp(command.argv[0], command.argv);
  fail(errno == ENOENT ? 127 : 126, "command", command.argv[0]);
}

/* Until the command has ended (0: all that it left), or until SIGTERM or the end of sudo asks for that: then false. */
static int wait_for(pid_t command, int signals, int *status) {
  struct pollfd waits[] = {{signals, POLLIN, 0}, {connection, POLLIN, 0}}; /* poll passes over -1 */
  struct signalfd_siginfo info;
  for (;;) {
    pid_t pid;
    int ended, over = 0;
    while ((pid = waitpid(-1, &ended, WNOHANG)) > 0)
      if (pid == command) over = 1, *status = ended;
    if (over || pid < 0) return 1;
    if (poll(waits, 2, -1) < 0) continue;
    if (waits[1].revents) return 0; /* sudo says nothing after the preamble */
    if (read(signals, &info, sizeof info) == sizeof info && info.ssi_signo == SIGTERM) return 0;
  }
}

/* What the command has left in the background is its exec's to end, not its sudo's. */
static void answer_sudo(int status, int signals) {
  siginfo_t info;
  int answer[] = {status, waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0};
  if (send(connection, answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer) wait_for(0, signals, &status);
}

static void supervise(const char *link, const char *user, size_t size) {
  char pid[16];
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* the connection ended: so does what it ran */
  struct preamble command = read_preamble(size);
  if (find_processes() < 0) fail(125, "/proc", "");
  int waking = signalfd(-1, &signals, SFD_CLOEXEC);
  if (waking < 0) fail(125, "signalfd", "");
  snprintf(pid, sizeof pid, "%d", getpid());
  if (symlink(pid, link)) {
    if (errno != EEXIST) fail(125, "symlink", link);
    unlink(link); /* ended before it began */
    end_like(SIGKILL);
  }
  write_file("/proc/self/oom_score_adj", "-1000");
  pid_t child = vfork(); /* it runs in our memory until the command does: under gVisor a copy costs more than the rest */
  if (child == 0) run_command(user, command);
  if (child < 0) unlink(link), fail(125, "fork", "");
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd); /* the command's ends of the pipes are the only ones */
  int status = SIGKILL; /* as a status: killed */
  int over = wait_for(child, waking, &status);
  if (over && connection >= 0) answer_sudo(status, waking);
  kill_descendants(child, connection < 0, &status);
  unlink(link);
  end_like(status);
}

/* Returns 0 when the command never runs, is over, or was told to end; 1 when its supervisor is gone but not its name. */
static int end_one(const char *link) {
  char text[16] = {0};
  if (!symlink("ended", link)) return 0;
  if (readlink(link, text, sizeof text - 1) < 0) return errno != ENOENT;
  pid_t pid = atoi(text);
  if (pid <= 1) return 0; /* asked for before */
  return kill(pid, SIGTERM) && readlink(link, text, sizeof text - 1) > 0;
}

static int name_link(char *link, size_t size, const char *id) {
  size_t length = strlen(id);
  if (!length || length > 32 || strspn(id, "0123456789abcdef") != length) return 0;
  snprintf(link, size, "%s/%s", RUN_DIR, id);
  return 1;
}

static int end_commands(void) {
  char id[64], link[sizeof RUN_DIR + 40];
  while (fgets(id, sizeof id, stdin)) {
    id[strcspn(id, "\n")] = 0;
    int result = name_link(link, sizeof link, id) ? end_one(link) : 1;
    if (dprintf(1, "%d\n", result) < 0) break;
  }
  return 0;
}

/* The words of a line that holds nothing but what our own host wrote. */
static int split(char *line, char **words, int most) {
  int count = 0;
  for (char *word = strtok(line, " "); word && count < most; word = strtok(NULL, " ")) words[count++] = word;
  return count;
}

/* The line before the preamble, byte by byte: what follows it is not ours to read yet. */
static size_t read_user(char *user, size_t size) {
  char line[64], format[24], word[8] = "";
  size_t length = 0, bytes = 0;
  for (; length < sizeof line - 1; length++)
    if (read(0, line + length, 1) != 1 || line[length] == '\n') break;
  line[length] = 0;
  snprintf(format, sizeof format, "%%%zus %%zu %%7s", size - 1);
  errno = EINVAL;
  if (sscanf(line, format, user, &bytes, word) < 2) fail(125, "preamble", "");
  may_gain = !strcmp(word, "sudo");
  return bytes;
}

int main(int argc, char **argv) {
  char *words[5] = {"run"}, user[32];
  if (argc == 3 && !strcmp(argv[1], "-c")) argc = 1 + split(argv[2], words + 1, 4), argv = words;
  char link[sizeof RUN_DIR + 40];
  int ender = argc == 2 && !strcmp(argv[1], "--ender");
  errno = EINVAL;
  if (!ender && ((argc != 2 && argc != 5) || !name_link(link, sizeof link, argv[1]))) fail(125, "usage", "");
  mkdir(RUN_DIR, 0700);
  /* A thousand busy processes must not keep us from ending them, nor sshd from starting who ends them. */
  setpriority(PRIO_PROCESS, 0, -20);
  setpriority(PRIO_PROCESS, getppid(), -20);
  if (ender) return end_commands();
  if (argc == 5) may_gain = 1, fcntl(connection = atoi(argv[4]), F_SETFD, FD_CLOEXEC);
  size_t size = argc == 5 ? strtoul(argv[3], NULL, 10) : read_user(user, sizeof user);
  errno = EINVAL;
  if (size > MAX_PREAMBLE) fail(125, "preamble", "");
  supervise(link, argc == 5 ? argv[2] : user, size);
}
