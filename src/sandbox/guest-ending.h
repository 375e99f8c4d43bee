/* What guest-run.c has to know of guest-ending.c. */
#ifndef MAYFLY_GUEST_ENDING_H
#define MAYFLY_GUEST_ENDING_H

#include <sys/types.h>

/* Before the command runs: it may cover /proc with another mount. Negative when there is none. */
int find_processes(void);

/*
 * Ends and reaps all that is below this process. `status` becomes that of the main child, should it end only now; it leads
 * a group of its own, unless it may be long gone, and its number another's.
 */
void kill_descendants(pid_t main_child, int is_leader, int *status);

/* By the same code or signal; 128 and its number for a signal that SSH has no name for. Does not return. */
void end_like(int status);

#endif
