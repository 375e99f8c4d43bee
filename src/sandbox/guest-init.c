/*
 * PID 1 of the guest, and the /init of its initramfs: one static program, so that no script and no service manager
 * stands between power-on and the saved state.
 *
 *   power-on -> modules -> root filesystem -> sshd waits for its key -> "ready" on the port
 *     -> [the template is saved here] -> thaw -> sshd gets its key
 *
 * As `init --container` it is PID 1 of a gVisor sandbox: that has its kernel, mounts and loopback already, and the
 * port is its standard input, a socket for both directions.
 *
 * As `init --again machine` or `--again container` it is no PID 1: started over SSH in a machine that stands ready, it
 * waits for the second thaw message on its standard input, and ends with it.
 *
 * The host speaks first with a thaw message on the virtio-serial port. Every clone of a template wakes with the same
 * random pool, the same clock and the same name; thaw gives it its own. It fails closed: whatever goes wrong, the
 * answer is "error <what>", sshd never gets a key, and the machine powers off.
 *
 * A port is opened once: a second open of a virtio-serial port answers EBUSY.
 */
#define _GNU_SOURCE
#include "guest-power-on.h"
#include "guest-thaw.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIBRARY "/usr/lib/mayfly/"
#define BROUGHT "/usr/lib/mayfly-brought" /* builder-unpack.py */
#define SSHD_ARGUMENTS "-i", "-e", "-f", "/etc/ssh/mayfly_sshd_config", NULL

static bool owns_machine;

_Noreturn void power_off(void) {
  if (!owns_machine) _exit(1); /* a container ends with its PID 1; of a second thaw the host throws the machine away */
  reboot(RB_POWER_OFF);
  reboot(RB_AUTOBOOT); /* a microvm without ACPI ends by triple fault; QEMU runs with -no-reboot */
  for (;;) pause();
}

_Noreturn void die(const char *what) {
  dprintf(2, "mayfly-init: %s: %s\n", what, strerror(errno));
  power_off();
}

void must(int result, const char *what) {
  if (result < 0) die(what);
}

void pause_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static void make_run_directories(void) {
  must(mkdir("/run/sshd", 0755), "/run/sshd");
  must(mkdir("/run/lock", 01777), "/run/lock");
  must(mkdir("/run/mayfly", 0755), "/run/mayfly");
}

static pid_t start(char *const argv[], int input, int output) {
  pid_t pid = fork();
  must(pid, "fork");
  if (pid > 0) return pid;
  setsid();
  dup2(input, 0);
  dup2(output, 1);
  struct rlimit files = {65536, 1048576};
  setrlimit(RLIMIT_NOFILE, &files);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execv(argv[0], argv);
  _exit(127);
}

/* Only when the template is made: brings what the first commands need into the page cache that is saved. */
static void warm_up(void) {
  char line[4096] = "";
  int file = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
  if (file < 0 || read(file, line, sizeof line - 1) < 0) die("/proc/cmdline");
  close(file);
  if (!strstr(line, "mayfly.warm")) return;
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  pid_t pid = start((char *[]){"/usr/lib/mayfly/warm", NULL}, null, null);
  while (waitpid(-1, NULL, 0) != pid) continue;
  close(null);
  sync();
}

/* ---- the port ---- */

static bool find_port(const char *wanted, char *path, size_t size) {
  DIR *ports = opendir("/sys/class/virtio-ports");
  if (!ports) return false;
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(ports));) {
    char name_path[320], name[32] = "";
    snprintf(name_path, sizeof name_path, "/sys/class/virtio-ports/%s/name", entry->d_name);
    int file = open(name_path, O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    ssize_t length = read(file, name, sizeof name - 1);
    found = length > 0 && name[length - 1] == '\n' && strncmp(name, wanted, (size_t)length - 1) == 0 && wanted[length - 1] == 0;
    close(file);
    if (found) snprintf(path, size, "/dev/%s", entry->d_name);
  }
  closedir(ports);
  return found;
}

static int open_port(const char *name, int how) {
  char path[320];
  for (int tries = 0; tries < 5000; tries++, pause_ms(1)) {
    if (!find_port(name, path, sizeof path)) continue;
    int port = open(path, how | O_CLOEXEC);
    if (port >= 0) return port;
  }
  die(name);
}

/*
 * sshd is started before the template is saved, and stands still in the middle of its start-up: its host key is a pipe,
 * and nobody has written to it yet. Loading it is half of what a restored machine would otherwise do, since under
 * emulation every instruction that runs for the first time has to be translated.
 *
 * Nothing that it has drawn by then may matter to anybody: it takes its secrets from getrandom(2) at the moment it
 * needs them (arc4random of glibc), and neither of the algorithms that its configuration leaves - curve25519, ed25519 -
 * uses the generator of OpenSSL, whose state all clones share. test/vm/qemu-identity.test.ts looks at what it sends.
 */
static pid_t start_sshd(struct port port, int *key) {
  static const char path[] = "/run/mayfly/host_key";
  must(mkfifo(path, 0600), path);
  char *brought[] = {BROUGHT "/ld-linux-x86-64.so.2", "--inhibit-cache", "--library-path", BROUGHT, "--argv0", "sshd", BROUGHT "/sshd", SSHD_ARGUMENTS};
  char *own[] = {"/usr/sbin/sshd", SSHD_ARGUMENTS};
  /* A system that came as an image may have no sshd, or another C library: it gets one with all that it needs. */
  pid_t sshd = start(access(brought[0], X_OK) == 0 ? brought : own, port.in, port.out);
  for (int tries = 0; (*key = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0; tries++, pause_ms(1)) {
    if (tries == 30000 || errno != ENXIO || waitpid(sshd, NULL, WNOHANG) != 0) die("sshd"); /* ENXIO: it does not read yet */
  }
  must(unlink(path), path); /* the key is in no file */
  return sshd;
}

/*
 * A command that nobody asked for, run as soon as the machine wakes up, on the processor that does not thaw: under
 * emulation, what it takes to start one is translated by the time that the first real command needs it. It waits until
 * the descriptor that is returned here is closed.
 */
static int prepare_rehearsal(void) {
  static const char input[] = "agent 14\n/\0" "1\0" "/bin/true"; /* as guest-run.c has it */
  int go[2], standard_input[2];
  must(pipe2(go, O_CLOEXEC), "pipe");
  must(pipe2(standard_input, O_CLOEXEC), "pipe");
  must((int)write(standard_input[1], input, sizeof input), "pipe");
  close(standard_input[1]);
  pid_t pid = fork();
  must(pid, "fork");
  if (pid > 0) return close(go[0]), close(standard_input[0]), go[1];
  char nothing;
  close(go[1]);
  if (read(go[0], &nothing, 1) != 0) _exit(1);
  dup2(standard_input[0], 0);
  int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  dup2(null, 1), dup2(null, 2);
  execl("/usr/lib/mayfly/run", "run", "0", NULL);
  _exit(127);
}

/* Where ours stands in for sudo: under gVisor, and in a system that came as an image. */
static void serve_sudo(void) {
  char target[64];
  ssize_t length = readlink("/usr/bin/sudo", target, sizeof target);
  if (length != sizeof LIBRARY "sudo" - 1 || memcmp(target, LIBRARY "sudo", (size_t)length) != 0) return;
  pid_t server = start((char *[]){LIBRARY "sudo", "--server", NULL}, 2, 2);
  while (waitpid(-1, NULL, 0) != server) continue; /* it listens, in another process */
}

/* From power-on to the port. */
static struct port start_machine(void) {
  owns_machine = true;
  mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=0755");
  int console = open("/dev/console", O_RDWR);
  if (console >= 0) dup2(console, 0), dup2(console, 1), dup2(console, 2);
  load_modules();
  enter_root();
  mount_the_rest();
  make_run_directories();
  raise_loopback();
  serve_sudo();
  warm_up();
  return (struct port){open_port("mayfly-in", O_RDONLY), open_port("mayfly-out", O_WRONLY)};
}

/*
 * gVisor lets no program become root by the mode of its file, so ours stands in for sudo there. Said to dpkg, as
 * dpkg-divert would, so that an upgrade of the package does not put its own in the place.
 */
static void replace_sudo(void) {
  static const char diversion[] = "/usr/bin/sudo\n/usr/bin/sudo.distrib\n:\n";
  must(rename("/usr/bin/sudo", "/usr/bin/sudo.distrib"), "sudo.distrib");
  must(symlink(LIBRARY "sudo", "/usr/bin/sudo"), "sudo");
  int list = open("/var/lib/dpkg/diversions", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  must(list, "diversions");
  must(write(list, diversion, sizeof diversion - 1), "diversions");
  close(list);
}

/* What this program says by itself must not get between the lines of the port. */
static struct port start_container(void) {
  int port = fcntl(0, F_DUPFD_CLOEXEC, 3);
  must(port, "port");
  dup2(2, 0);
  make_run_directories();
  struct stat sudo;
  if (lstat("/usr/bin/sudo", &sudo) == 0 && !S_ISLNK(sudo.st_mode)) replace_sudo();
  serve_sudo();
  return (struct port){port, port};
}

int main(int argc, char *argv[]) {
  if (argc == 3 && strcmp(argv[1], "--again") == 0) {
    thaw_again((struct port){0, 1}, strcmp(argv[2], "machine") == 0 ? OWN_KERNEL : HOST_KERNEL);
    return 0;
  }
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  umask(022);
  setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
  setenv("HOME", "/root", 1);
  struct port port = argc == 2 && strcmp(argv[1], "--container") == 0 ? start_container() : start_machine();
  int key;
  pid_t sshd = start_sshd(port, &key);
  int rehearsal = owns_machine ? prepare_rehearsal() : -1;
  say(port, "ready\n");
  poll(&(struct pollfd){.fd = port.in, .events = POLLIN}, 1, -1);
  close(rehearsal);
  thaw(port, key, owns_machine ? OWN_KERNEL : HOST_KERNEL);
  close(port.in);
  close(port.out);
  for (;;) {
    pid_t ended = waitpid(-1, NULL, 0);
    if (ended == sshd) power_off(); /* a VM serves one connection */
    if (ended < 0 && errno == ECHILD) power_off();
  }
}
