/* What guest-init.c has to know of guest-power-on.c; each powers off when it does not work. */
#ifndef MAYFLY_GUEST_POWER_ON_H
#define MAYFLY_GUEST_POWER_ON_H

void mount_at(const char *type, const char *path, unsigned long flags, const char *data);

/* In the order of a list that lies beside them in the initramfs. */
void load_modules(void);

/* The disk becomes the root; /dev goes with it. */
void enter_root(void);

void mount_the_rest(void);

/* 127.0.0.1 and ::1. */
void raise_loopback(void);

#endif
