/*
 * Thaw, the guest's half: the host's is thaw.ts. The message is text, at most 16 KiB, each line once and in this order:
 *
 *   mayfly-thaw 1            version of this message
 *   time <ms since 1970>
 *   entropy <base64>         at least 64 bytes
 *   hostname <name>
 *   machine-id <32 hex digits>
 *   host-key <base64 of an OpenSSH private key>
 *   authorized-key ssh-ed25519 <base64>
 *   end
 *
 * The answer is "ok" or "error <what>". After "ok" sshd speaks: only then it is given its key.
 *
 * A machine that waited after its thaw is thawed again when it is handed over, with the lines that grow old: version,
 * time, entropy, end.
 */
#define _GNU_SOURCE
#include "guest-thaw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { max_message_bytes = 16384, min_entropy_bytes = 64 };

void say(struct port port, const char *text) {
  size_t length = strlen(text), done = 0;
  while (done < length) {
    ssize_t count = write(port.out, text + done, length - done);
    if (count < 0 && errno == EINTR) continue;
    must((int)count, "write to the port");
    done += (size_t)count;
  }
}

static _Noreturn void refuse(struct port port, const char *what) {
  char line[128];
  snprintf(line, sizeof line, "error %s\n", what);
  say(port, line);
  pause_ms(200); /* the host reads the reason before the machine is gone */
  power_off();
}

/* Reads up to "\nend\n" and not a byte further: what follows is the SSH client's. The host waits for our answer anyway. */
static void read_message(struct port port, char *message) {
  size_t length = 0;
  for (;;) {
    if (length == max_message_bytes) refuse(port, "size");
    ssize_t count = read(port.in, message + length, max_message_bytes - length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) die("the host went away");
    if (memchr(message + length, 0, (size_t)count)) refuse(port, "syntax");
    length += (size_t)count;
    message[length] = 0;
    if (length >= 5 && strcmp(message + length - 5, "\nend\n") == 0) return;
  }
}

/* The value of "<key> <value>"; each line of the message is taken once, in order, and must be the one expected. */
static char *take(struct port port, char **cursor, const char *key) {
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

/* What belongs to one guest alone lies in /run: under emulation, writing to the disk would be a third of the thaw. */
static void write_file(struct port port, const char *path, mode_t mode, const char *bytes, size_t length) {
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (file < 0 || write(file, bytes, length) != (ssize_t)length) refuse(port, path);
  close(file);
}

static void set_clock(struct port port, const char *value) {
  long long ms = strtoll(value, NULL, 10);
  struct timespec now = {ms / 1000, ms % 1000 * 1000000};
  if (ms < 1600000000000LL || clock_settime(CLOCK_REALTIME, &now) < 0) refuse(port, "time");
}

static void reseed(struct port port, char *value) {
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

static void name_machine(struct port port, const char *host, const char *machine, enum kernel kernel) {
  size_t length = strlen(host);
  if (length < 1 || length > 63 || strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-") != length) refuse(port, "hostname");
  /* A container has its name from its configuration, and may not change it. */
  if (kernel == OWN_KERNEL && sethostname(host, length) < 0) refuse(port, "hostname");
  char text[192]; /* a machine that cannot resolve its own name makes sudo and many test suites complain */
  int size = snprintf(text, sizeof text, "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 %s\n", host);
  write_file(port, "/run/mayfly/hosts", 0644, text, (size_t)size);
  size = snprintf(text, sizeof text, "%s\n", host);
  write_file(port, "/run/mayfly/hostname", 0644, text, (size_t)size);
  if (strlen(machine) != 32 || strspn(machine, "0123456789abcdef") != 32) refuse(port, "machine-id");
  size = snprintf(text, sizeof text, "%s\n", machine);
  write_file(port, "/run/mayfly/machine-id", 0444, text, (size_t)size);
}

static void allow_key(struct port port, const char *authorized_key) {
  if (strncmp(authorized_key, "ssh-ed25519 ", 12) != 0) refuse(port, "authorized-key");
  write_file(port, "/run/mayfly/authorized_keys", 0600, authorized_key, strlen(authorized_key));
}

void thaw(struct port port, int key, enum kernel kernel) {
  static char message[max_message_bytes + 1];
  read_message(port, message);
  char *cursor = message;
  if (strcmp(take(port, &cursor, "mayfly-thaw"), "1") != 0) refuse(port, "version");
  char *time = take(port, &cursor, "time"), *entropy = take(port, &cursor, "entropy");
  if (kernel == OWN_KERNEL) set_clock(port, time), reseed(port, entropy);
  char *host = take(port, &cursor, "hostname");
  name_machine(port, host, take(port, &cursor, "machine-id"), kernel);
  char *host_key = take(port, &cursor, "host-key");
  allow_key(port, take(port, &cursor, "authorized-key"));
  if (!cursor || strcmp(cursor, "end\n") != 0) refuse(port, "syntax");
  int bytes = decode(host_key);
  if (bytes <= 0) refuse(port, "host-key");
  say(port, "ok\n");
  if (write(key, host_key, (size_t)bytes) != bytes) die("host key");
  close(key);
  explicit_bzero(message, sizeof message);
}

void thaw_again(struct port port, enum kernel kernel) {
  static char message[max_message_bytes + 1];
  read_message(port, message);
  char *cursor = message;
  if (strcmp(take(port, &cursor, "mayfly-thaw"), "1") != 0) refuse(port, "version");
  char *time = take(port, &cursor, "time"), *entropy = take(port, &cursor, "entropy");
  if (!cursor || strcmp(cursor, "end\n") != 0) refuse(port, "syntax");
  if (kernel == OWN_KERNEL) set_clock(port, time), reseed(port, entropy);
  explicit_bzero(message, sizeof message);
  say(port, "ok\n");
}
