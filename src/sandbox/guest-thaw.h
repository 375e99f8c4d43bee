/* What the two halves of PID 1 share: guest-init.c brings the machine up, guest-thaw.c gives it its identity. */
#ifndef MAYFLY_GUEST_THAW_H
#define MAYFLY_GUEST_THAW_H

_Noreturn void power_off(void);
_Noreturn void die(const char *what);
void must(int result, const char *what);
void pause_ms(long ms);

/* Writes all of it to the port, or powers off. */
void say(int port, const char *text);

/* A machine has a clock and a random pool of its own; a gVisor sandbox takes both from the host at every call. */
enum kernel { OWN_KERNEL, HOST_KERNEL };

/* Reads the thaw message and applies every line of it. Returns only when all went well; else says why and powers off. */
void thaw(int port, enum kernel kernel);

#endif
