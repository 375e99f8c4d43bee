/* What the two halves of PID 1 share: guest-init.c brings the machine up, guest-thaw.c gives it its identity. */
#ifndef MAYFLY_GUEST_THAW_H
#define MAYFLY_GUEST_THAW_H

_Noreturn void power_off(void);
_Noreturn void die(const char *what);
void must(int result, const char *what);
void pause_ms(long ms);

/*
 * The wire to the host. In a machine it is two virtio-serial ports, one for each direction: poll(2) on a port takes what
 * has arrived off its queue whatever it is asked for, and the interrupt that comes for it then finds nothing and wakes
 * nobody. sshd polls its input and its output one after the other, so on one port it sleeps through its own input once
 * in some hundred commands (port_fops_poll in drivers/char/virtio_console.c, vring_interrupt in virtio_ring.c).
 */
struct port {
  int in, out;
};

/* Writes all of it to the port, or powers off. */
void say(struct port port, const char *text);

/* A machine has a clock and a random pool of its own; a gVisor sandbox takes both from the host at every call. */
enum kernel { OWN_KERNEL, HOST_KERNEL };

/*
 * Reads the thaw message and applies every line of it, the last being the host key, which goes into the pipe `key`.
 * Returns only when all went well; else says why and powers off.
 */
void thaw(struct port port, int key, enum kernel kernel);

/* The same for a machine that is awake and has its keys: time and entropy only. */
void thaw_again(struct port port, enum kernel kernel);

#endif
