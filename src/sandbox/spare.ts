/**
 * A supervised session that stands ready for the next command. Its start - a process of sshd, then the supervisor - is
 * most of what a short command costs, and it needs to know nothing of the command.
 */
import { randomBytes } from 'node:crypto';
import type { Connection, Session } from './connection.ts';

export interface Supervised extends Session {
  /** By which the command is ended early. */
  readonly id: string;
}

export interface Spare {
  /** Opens the next session, when there is none yet, without waiting for it. */
  prepare(): void;
  /** The session that stands ready, or a new one. */
  take(): Promise<Supervised>;
}

interface Standing {
  readonly opening: Promise<Supervised>;
  /** The guest has ended it before it was used. */
  isOver: boolean;
}

/** `supervise` is what the login shell of the guest needs in front of the supervisor's own words. */
export function createSpare(connection: Connection, supervise: string): Spare {
  let standing: Standing | null = null;
  const open = async (): Promise<Supervised> => {
    const id = randomBytes(8).toString('hex');
    return { id, ...(await connection.open(`${supervise}${id}`)) };
  };
  return {
    prepare() {
      if (standing !== null || connection.lost.aborted) return;
      const made: Standing = { opening: open(), isOver: false };
      standing = made;
      made.opening
        .then(({ exit }) => exit)
        .then(
          () => (made.isOver = true),
          () => {}, // the connection is lost, which everybody else learns as well
        );
    },
    async take() {
      const made = standing;
      standing = null;
      const ready = await made?.opening;
      return ready && !made?.isOver ? ready : await open();
    },
  };
}
