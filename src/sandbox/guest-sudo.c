/*
 * sudo for guests under gVisor, which lets no program become another user by the mode of its file: a client in the
 * place of /usr/bin/sudo, and a server that PID 1 starts as root.
 *
 *   sudo [-nEHkKSP] [-u USER] [-i | -s] [--] [NAME=value...] [COMMAND...]
 *   sudo -v | -l | -V | -k     only succeeds: whoever gets an answer may do everything
 *   sudo --server              returns when a process of it listens on SOCKET
 *
 * The client sends one struct request, with its descriptors 0, 1, 2 and its credentials, then the preamble. The server
 * looks only at who it is, and starts `run ID USER BYTES CONNECTION` (guest-run.c), which reads the preamble, gives the
 * command the three descriptors, and answers two numbers: the command's status as of waitpid, and whether processes of
 * it are left. Both ends of the connection end with each other: with the client goes what the command has left.
 * Ends as the command ended: same code, or by the same signal. 1: nothing was run.
 *
 * Nothing here is a wall but who may open SOCKET: the group `sudo`, which `run` leaves out where nobody may become root.
 * Whom the server serves may be root in this guest, as with the real sudo.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET "/run/mayfly/sudo"
#define RUN "/usr/lib/mayfly/run"
#define AGENT_UID 1000
#define SUDO_GID 27 /* the same in every Debian */
#define MAX_RUNNING 256
#define MAX_SHOWN 4096 /* of SUDO_COMMAND, as the real one */

struct request {
  uint32_t bytes; /* of preamble; `run` refuses more than 1 MiB */
  char user[36];
};

union control { /* room for three descriptors and one sender */
  struct cmsghdr aligned;
  char bytes[CMSG_SPACE(3 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static const struct sockaddr_un address = {AF_UNIX, SOCKET};

static _Noreturn void give_up(const char *what, const char *name) {
  dprintf(2, "sudo: %s%s%s\n", what, *name ? ": " : "", name);
  exit(1);
}

/* ---- the server ---- */

/* Becomes the supervisor of what the client asks for, or ends, which the client sees. */
static _Noreturn void accept_request(int connection) {
  struct request request;
  union control control;
  struct iovec text = {&request, sizeof request};
  struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct ucred sender = {0, -1, -1};
  int ends[3] = {-1, -1, -1}, on = 1;
  /* Not SO_PEERCRED: under gVisor that names whoever asks. */
  if (setsockopt(connection, SOL_SOCKET, SO_PASSCRED, &on, sizeof on)) _exit(1);
  if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) != sizeof request || message.msg_flags & MSG_CTRUNC) _exit(1);
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_type == SCM_CREDENTIALS && part->cmsg_len == CMSG_LEN(sizeof sender)) memcpy(&sender, CMSG_DATA(part), sizeof sender);
    if (part->cmsg_type == SCM_RIGHTS && part->cmsg_len == CMSG_LEN(sizeof ends)) memcpy(ends, CMSG_DATA(part), sizeof ends);
  }
  if (sender.uid != 0 && sender.uid != AGENT_UID) _exit(1);
  for (int fd = 0; fd < 3; fd++)
    if (dup2(ends[fd], fd) < 0) _exit(1);
  char id[17], bytes[16], descriptor[16];
  uint64_t number;
  if (getrandom(&number, sizeof number, 0) != sizeof number) _exit(1);
  snprintf(id, sizeof id, "%016llx", (unsigned long long)number);
  snprintf(bytes, sizeof bytes, "%u", request.bytes);
  snprintf(descriptor, sizeof descriptor, "%d", connection);
  request.user[sizeof request.user - 1] = 0;
  execl(RUN, "run", id, request.user, bytes, descriptor, NULL);
  _exit(1);
}

static void serve(void) {
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  umask(0117);
  if (bind(listener, (const struct sockaddr *)&address, sizeof address) || chown(SOCKET, 0, SUDO_GID) || listen(listener, 128))
    give_up(SOCKET, strerror(errno));
  umask(022);
  if (fork()) exit(0);
  for (int running = 0;;) {
    while (running > 0 && waitpid(-1, NULL, running < MAX_RUNNING ? WNOHANG : 0) > 0) running--;
    int connection = accept(listener, NULL, NULL);
    if (connection < 0) continue;
    pid_t pid = fork();
    if (pid == 0) accept_request(connection);
    if (pid > 0) running++;
    close(connection);
  }
}

/* ---- the client ---- */

static struct passwd *find_user(const char *name, uid_t uid) {
  FILE *users = fopen("/etc/passwd", "re");
  struct passwd *user = NULL;
  while (users && (user = fgetpwent(users)) && (name ? strcmp(user->pw_name, name) : (int)(user->pw_uid != uid))) continue;
  return user;
}

static void put(FILE *out, const char *name, const char *value) {
  fprintf(out, "%s%s%c", name, value, 0);
}

static void put_command(FILE *out, int shell, const struct passwd *user, char **words) {
  const char *program = shell == 's' && getenv("SHELL") ? getenv("SHELL") : user->pw_shell;
  const char *before[] = {program, shell == 'i' ? "-l" : NULL, *words ? "-c" : NULL, *words ? "\"$@\"" : NULL, *words ? program : NULL};
  int count = 0;
  while (words[count]) count++;
  for (int index = 0; shell && index < 5; index++) count += before[index] != NULL;
  fprintf(out, "%d%c", count, 0);
  for (int index = 0; shell && index < 5; index++)
    if (before[index]) put(out, "", before[index]);
  for (; *words; words++) put(out, "", *words);
}

/* As the real sudo is set up in the guest: all is kept but what belongs to the user and Debian's secure_path. `run` knows HOME, USER, LOGNAME and SHELL. */
static void put_environment(FILE *out, const struct passwd *user, char **words) {
  static const char *const dropped[] = {"HOME=", "USER=", "LOGNAME=", "SHELL=", "MAIL=", "PATH="};
  char shown[MAX_SHOWN] = "", number[16];
  for (char **pair = environ; *pair; pair++) {
    size_t index = 0;
    while (index < sizeof dropped / sizeof *dropped && strncmp(*pair, dropped[index], strlen(dropped[index]))) index++;
    if (index == sizeof dropped / sizeof *dropped) put(out, "", *pair);
  }
  for (size_t at = 0; *words && at < sizeof shown; words++) at += snprintf(shown + at, sizeof shown - at, "%s%s", at ? " " : "", *words);
  put(out, "PATH=", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  put(out, "MAIL=/var/mail/", user->pw_name);
  put(out, "SUDO_COMMAND=", shown);
  snprintf(number, sizeof number, "%u", getuid());
  put(out, "SUDO_UID=", number);
  snprintf(number, sizeof number, "%u", getgid());
  put(out, "SUDO_GID=", number);
  const struct passwd *caller = find_user(NULL, getuid());
  put(out, "SUDO_USER=", caller ? caller->pw_name : "");
}

/* Returns the connection, or -1. */
static int ask(const struct request *request, const char *preamble) {
  int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ends[3] = {0, 1, 2};
  struct ucred self = {getpid(), getuid(), getgid()};
  union control control = {0};
  struct iovec text = {(void *)request, sizeof *request};
  struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr *part = CMSG_FIRSTHDR(&message);
  *part = (struct cmsghdr){CMSG_LEN(sizeof ends), SOL_SOCKET, SCM_RIGHTS};
  memcpy(CMSG_DATA(part), ends, sizeof ends);
  part = CMSG_NXTHDR(&message, part);
  *part = (struct cmsghdr){CMSG_LEN(sizeof self), SOL_SOCKET, SCM_CREDENTIALS};
  memcpy(CMSG_DATA(part), &self, sizeof self);
  if (connect(connection, (const struct sockaddr *)&address, sizeof address)) return -1;
  if (sendmsg(connection, &message, MSG_NOSIGNAL) != sizeof *request) return -1;
  for (size_t sent = 0; sent < request->bytes;) {
    ssize_t count = send(connection, preamble + sent, request->bytes - sent, MSG_NOSIGNAL);
    if (count <= 0) return -1;
    sent += count;
  }
  return connection;
}

/* What the command has left lives as long as somebody holds the connection, and nobody outlives the exec that we are part of. */
static void hold(int connection) {
  char none;
  if (fork()) return;
  setsid();
  dup2(connection, 0);
  close_range(1, ~0U, 0); /* whoever waits for the end of a pipe does not wait for us */
  while (recv(0, &none, 1, 0) > 0) continue;
  _exit(0);
}

static _Noreturn void end_like(int status) {
  if (WIFEXITED(status)) exit(WEXITSTATUS(status));
  prctl(PR_SET_DUMPABLE, 0); /* no core of ours */
  signal(WTERMSIG(status), SIG_DFL);
  raise(WTERMSIG(status));
  exit(128 + WTERMSIG(status));
}

int main(int argc, char **argv) {
  static const struct option names[] = {
      {"non-interactive", no_argument, NULL, 'n'}, {"preserve-env", optional_argument, NULL, 'E'}, {"set-home", no_argument, NULL, 'H'},
      {"stdin", no_argument, NULL, 'S'},           {"user", required_argument, NULL, 'u'},         {"login", no_argument, NULL, 'i'},
      {"shell", no_argument, NULL, 's'},           {"validate", no_argument, NULL, 'v'},           {"list", no_argument, NULL, 'l'},
      {"reset-timestamp", no_argument, NULL, 'k'}, {"version", no_argument, NULL, 'V'},            {0}};
  if (argc == 2 && !strcmp(argv[1], "--server")) serve();
  for (int fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDWR); /* the lowest that is free: this one */
  const char *name = "root";
  int shell = 0, succeed = 0, forget = 0, answer[2];
  for (int option; (option = getopt_long(argc, argv, "+nEHkKSPu:isvlV", names, NULL)) != -1;) {
    if (option == '?') exit(1); /* getopt has said why */
    if (option == 'u') name = optarg;
    if (option == 'i' || option == 's') shell = option;
    succeed |= option == 'v' || option == 'l' || option == 'V';
    forget |= option == 'k' || option == 'K';
  }
  char **assigned = argv + optind, **words = assigned;
  while (*words && strchr(*words, '=') > *words) words++;
  if (succeed || (forget && !*words && !shell)) return 0;
  if (!*words && !shell) give_up("there is no command; use: sudo [-nEHkS] [-u USER] [-i | -s] [--] [NAME=value...] COMMAND...", "");
  const struct passwd *user = find_user(name, 0);
  struct request request = {0};
  if (!user || strlen(name) >= sizeof request.user) give_up("there is no user", name);
  strcpy(request.user, name);

  char *preamble, *cwd = getcwd(NULL, 0);
  size_t bytes;
  FILE *out = open_memstream(&preamble, &bytes);
  put(out, "", shell == 'i' ? user->pw_dir : cwd ? cwd : "/");
  put_command(out, shell, user, words);
  put_environment(out, user, words);
  for (; assigned < words; assigned++) put(out, "", *assigned);
  if (fclose(out) || bytes > UINT32_MAX) give_up("the command is too long", "");
  request.bytes = bytes;
  int connection = ask(&request, preamble);
  if (connection < 0 || recv(connection, answer, sizeof answer, MSG_WAITALL) != sizeof answer) give_up("the command was not run to its end", "");
  if (answer[1]) hold(connection);
  end_like(answer[0]);
}
