/* From power-on to the root filesystem: what guest-init.c does of a machine before anything of the guest runs. */
#define _GNU_SOURCE
#include "guest-power-on.h"
#include "guest-thaw.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void load_modules(void) {
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

void mount_at(const char *type, const char *path, unsigned long flags, const char *data) {
  mkdir(path, 0755);
  must(mount(type, path, type, flags, data), path);
}

void enter_root(void) {
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

void mount_the_rest(void) {
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
}

/* An interface that comes up as loopback gets 127.0.0.1 and ::1 from the kernel. */
void raise_loopback(void) {
  int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(sock, "socket");
  struct ifreq request = {.ifr_name = "lo"};
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  must(ioctl(sock, SIOCSIFFLAGS, &request), "lo");
  close(sock);
}
