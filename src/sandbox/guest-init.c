/*
 * PID 1 of the guest, and the /init of its initramfs: one static program, so that no script and no service manager
 * stands between power-on and the saved state.
 *
 *   power-on -> modules -> root filesystem -> "ready" on the port -> [the template is saved here] -> thaw -> sshd
 *
 * The host speaks first with a thaw message on the virtio-serial port. Every clone of a template wakes with the same
 * random pool, the same clock and the same name; thaw gives it its own. It fails closed: whatever goes wrong, the
 * answer is "error <what>", no sshd ever runs, and the machine powers off.
 *
 * The port is opened once, read and write: a second open of a virtio-serial port answers EBUSY.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { max_message_bytes = 16384, min_entropy_bytes = 64, max_agent_processes = 1024 };

static _Noreturn void power_off(void) {
  reboot(RB_POWER_OFF);
  reboot(RB_AUTOBOOT); /* a microvm without ACPI ends by triple fault; QEMU runs with -no-reboot */
  for (;;) pause();
}

static _Noreturn void die(const char *what) {
  dprintf(2, "mayfly-init: %s: %s\n", what, strerror(errno));
  power_off();
}

static void must(int result, const char *what) {
  if (result < 0) die(what);
}

static void pause_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

/* ---- from power-on to the root filesystem ---- */

static void load_modules(void) {
  FILE *order = fopen("/modules.order", "re");
  if (!order) die("modules.order");
  char name[128], path[160];
  while (fscanf(order, "%127s", name) == 1) {
    snprintf(path, sizeof path, "/modules/%s", name);
    int module = open(path, O_RDONLY | O_CLOEXEC);
    must(module, path);
    if (syscall(SYS_finit_module, module, "", 0) < 0 && errno != EEXIST) die(path);
    close(module);
    unlink(path);
  }
  fclose(order);
}

static void mount_at(const char *type, const char *path, unsigned long flags, const char *data) {
  mkdir(path, 0755);
  must(mount(type, path, type, flags, data), path);
}

static void enter_root(void) {
  for (int tries = 0; access("/dev/vda", F_OK) < 0; tries++) {
    if (tries == 5000) die("no /dev/vda");
    pause_ms(1);
  }
  mkdir("/new", 0755);
  must(mount("/dev/vda", "/new", "ext4", MS_NOATIME, NULL), "root filesystem");
  must(mount("/dev", "/new/dev", NULL, MS_MOVE, NULL), "move /dev");
  unlink("/init"); /* the initramfs is memory; give it back */
  unlink("/modules.order");
  must(chdir("/new"), "chdir");
  must(mount(".", "/", NULL, MS_MOVE, NULL), "move root");
  must(chroot("."), "chroot");
  must(chdir("/"), "chdir /");
}

static void mount_the_rest(void) {
  const unsigned long safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  mount_at("proc", "/proc", safe, NULL);
  mount_at("sysfs", "/sys", safe, NULL);
  mount_at("cgroup2", "/sys/fs/cgroup", safe, NULL);
  mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755");
  mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666");
  mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
  const char *links[][2] = {{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"}};
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
    if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST) die(links[i][1]);
  }
  must(mkdir("/run/sshd", 0755), "/run/sshd");
  must(mkdir("/run/lock", 01777), "/run/lock");
  must(mkdir("/run/mayfly", 0755), "/run/mayfly");
}

/* An interface that comes up as loopback gets 127.0.0.1 and ::1 from the kernel. */
static void raise_loopback(void) {
  int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(sock, "socket");
  struct ifreq request = {.ifr_name = "lo"};
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  must(ioctl(sock, SIOCSIFFLAGS, &request), "lo");
  close(sock);
}

static pid_t start(char *const argv[], int input, int output) {
  pid_t pid = fork();
  must(pid, "fork");
  if (pid > 0) return pid;
  setsid();
  dup2(input, 0);
  dup2(output, 1);
  /* Root is exempt from RLIMIT_NPROC: a fork bomb of the agent leaves sshd able to fork. */
  struct rlimit processes = {max_agent_processes, max_agent_processes}, files = {65536, 1048576};
  setrlimit(RLIMIT_NPROC, &processes);
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

static bool find_port(char *path, size_t size) {
  DIR *ports = opendir("/sys/class/virtio-ports");
  if (!ports) return false;
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(ports));) {
    char name_path[320], name[32] = "";
    snprintf(name_path, sizeof name_path, "/sys/class/virtio-ports/%s/name", entry->d_name);
    int file = open(name_path, O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    found = read(file, name, sizeof name - 1) > 0 && strcmp(name, "mayfly\n") == 0;
    close(file);
    if (found) snprintf(path, size, "/dev/%s", entry->d_name);
  }
  closedir(ports);
  return found;
}

static int open_port(void) {
  char path[320];
  for (int tries = 0; tries < 5000; tries++, pause_ms(1)) {
    if (!find_port(path, sizeof path)) continue;
    int port = open(path, O_RDWR | O_CLOEXEC);
    if (port >= 0) return port;
  }
  die("no port");
}

static void say(int port, const char *text) {
  size_t length = strlen(text), done = 0;
  while (done < length) {
    ssize_t count = write(port, text + done, length - done);
    if (count < 0 && errno == EINTR) continue;
    must((int)count, "write to the port");
    done += (size_t)count;
  }
}

static _Noreturn void refuse(int port, const char *what) {
  char line[128];
  snprintf(line, sizeof line, "error %s\n", what);
  say(port, line);
  pause_ms(200); /* the host reads the reason before the machine is gone */
  power_off();
}

/* Reads up to "\nend\n" and not a byte further: what follows is the SSH client's. The host waits for our answer anyway. */
static void read_message(int port, char *message) {
  size_t length = 0;
  for (;;) {
    if (length == max_message_bytes) refuse(port, "size");
    ssize_t count = read(port, message + length, max_message_bytes - length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) die("the host went away");
    if (memchr(message + length, 0, (size_t)count)) refuse(port, "syntax");
    length += (size_t)count;
    message[length] = 0;
    if (length >= 5 && strcmp(message + length - 5, "\nend\n") == 0) return;
  }
}

/* ---- thaw ---- */

/* The value of "<key> <value>"; each line of the message is taken once, in order, and must be the one expected. */
static char *take(int port, char **cursor, const char *key) {
  char *line = strsep(cursor, "\n");
  size_t length = strlen(key);
  if (!line || strncmp(line, key, length) != 0 || line[length] != ' ') refuse(port, key);
  return line + length + 1;
}

static int digit_of(char c) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *found = c ? strchr(digits, c) : NULL;
  return found ? (int)(found - digits) : -1;
}

/* Base64, in place; returns the number of bytes, or -1. */
static int decode(char *text) {
  uint32_t bits = 0;
  int count = 0, bytes = 0;
  for (char *c = text; *c && *c != '='; c++) {
    int digit = digit_of(*c);
    if (digit < 0) return -1;
    bits = bits << 6 | (uint32_t)digit;
    if (++count % 4 != 1) text[bytes++] = (char)(bits >> (2 * (3 - (count - 1) % 4)));
  }
  return bytes;
}

static void write_file(int port, const char *path, mode_t mode, const char *bytes, size_t length) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
  if (file < 0 || fchmod(file, mode) < 0 || write(file, bytes, length) != (ssize_t)length) refuse(port, path);
  close(file);
}

static void set_clock(int port, const char *value) {
  long long ms = strtoll(value, NULL, 10);
  struct timespec now = {ms / 1000, ms % 1000 * 1000000};
  if (ms < 1600000000000LL || clock_settime(CLOCK_REALTIME, &now) < 0) refuse(port, "time");
}

static void reseed(int port, char *value) {
  struct { int bits, bytes; char data[512]; } pool;
  int bytes = strlen(value) < sizeof pool.data ? decode(value) : -1;
  if (bytes < min_entropy_bytes) refuse(port, "entropy");
  pool.bits = bytes * 8;
  pool.bytes = bytes;
  memcpy(pool.data, value, (size_t)bytes);
  int device = open("/dev/urandom", O_RDWR | O_CLOEXEC);
  if (device < 0 || ioctl(device, RNDADDENTROPY, &pool) < 0 || ioctl(device, RNDRESEEDCRNG) < 0) refuse(port, "entropy");
  close(device);
  explicit_bzero(&pool, sizeof pool);
}

static void name_machine(int port, const char *host, const char *machine) {
  size_t length = strlen(host);
  if (length < 1 || length > 63 || strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-") != length) refuse(port, "hostname");
  if (sethostname(host, length) < 0) refuse(port, "hostname");
  write_file(port, "/etc/hostname", 0644, host, length);
  if (strlen(machine) != 32 || strspn(machine, "0123456789abcdef") != 32) refuse(port, "machine-id");
  char line[34];
  snprintf(line, sizeof line, "%s\n", machine);
  write_file(port, "/etc/machine-id", 0444, line, 33);
}

static void give_keys(int port, char *host_key, const char *authorized_key) {
  int bytes = decode(host_key);
  if (bytes <= 0) refuse(port, "host-key");
  write_file(port, "/run/mayfly/host_key", 0600, host_key, (size_t)bytes);
  if (strncmp(authorized_key, "ssh-ed25519 ", 12) != 0) refuse(port, "authorized-key");
  write_file(port, "/run/mayfly/authorized_keys", 0600, authorized_key, strlen(authorized_key));
}

static void thaw(int port) {
  static char message[max_message_bytes + 1];
  read_message(port, message);
  char *cursor = message;
  if (strcmp(take(port, &cursor, "mayfly-thaw"), "1") != 0) refuse(port, "version");
  set_clock(port, take(port, &cursor, "time"));
  reseed(port, take(port, &cursor, "entropy"));
  char *host = take(port, &cursor, "hostname");
  name_machine(port, host, take(port, &cursor, "machine-id"));
  char *host_key = take(port, &cursor, "host-key");
  give_keys(port, host_key, take(port, &cursor, "authorized-key"));
  if (!cursor || strcmp(cursor, "end\n") != 0) refuse(port, "syntax");
  explicit_bzero(message, sizeof message);
}

int main(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  umask(022);
  setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
  setenv("HOME", "/root", 1);
  mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=0755");
  int console = open("/dev/console", O_RDWR);
  if (console >= 0) dup2(console, 0), dup2(console, 1), dup2(console, 2);
  load_modules();
  enter_root();
  mount_the_rest();
  raise_loopback();
  warm_up();

  int port = open_port();
  say(port, "ready\n");
  thaw(port);
  say(port, "ok\n"); /* before sshd runs: its banner is the next thing on the port */
  pid_t sshd = start((char *[]){"/usr/sbin/sshd", "-i", "-e", "-f", "/etc/ssh/mayfly_sshd_config", NULL}, port, port);
  close(port);
  for (;;) {
    pid_t ended = waitpid(-1, NULL, 0);
    if (ended == sshd) power_off(); /* a VM serves one connection */
    if (ended < 0 && errno == ECHILD) power_off();
  }
}
