/**
 * The connections that have not shown a whole request yet. They are strangers: there is room for so many and for so
 * many bytes of theirs, and when it is used up the oldest goes. A flood of slow senders so pushes out itself, while a
 * real delivery, which is complete within milliseconds, gets through.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

export interface CrowdLimits {
  readonly connections: number;
  readonly bufferedBytes: number;
}

export interface Crowd {
  /** Counts bytes that are kept for a connection. */
  hold(socket: Socket, bytes: number): void;
  /** The request is complete: its connection is not pushed out while it is worked on. */
  settle(socket: Socket): void;
  /** The connection is a stranger again, until its next request is complete. */
  release(socket: Socket): void;
}

export function watchCrowd(server: Server, limits: CrowdLimits): Crowd {
  /** Oldest first. */
  const strangers = new Map<Socket, number>();
  let heldBytes = 0;
  const forget = (socket: Socket): void => {
    heldBytes -= strangers.get(socket) ?? 0;
    strangers.delete(socket);
  };
  // At once, not when its `close` comes: a burst would otherwise find the same oldest again and again.
  const pushOut = (socket: Socket | undefined): void => {
    if (!socket) return;
    forget(socket);
    socket.destroy();
  };
  const admit = (socket: Socket): void => {
    forget(socket);
    if (socket.destroyed) return;
    strangers.set(socket, 0);
    if (strangers.size > limits.connections) pushOut(strangers.keys().next().value);
  };
  server.on('connection', (socket: Socket) => {
    admit(socket);
    socket.once('close', () => forget(socket));
  });
  return {
    hold(socket, bytes) {
      const held = strangers.get(socket);
      if (held === undefined) return;
      strangers.set(socket, held + bytes);
      heldBytes += bytes;
      if (heldBytes > limits.bufferedBytes) pushOut([...strangers].find(([, count]) => count > 0)?.[0]);
    },
    settle: forget,
    release: admit,
  };
}
