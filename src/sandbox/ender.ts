/**
 * Ends commands of the guest early, over one session that stands ready for it: in a fork storm the start of another
 * process, which every new session is, can take longer than anyone waits.
 */
import { createInterface } from 'node:readline';
import type { Connection, Exit } from './connection.ts';

export interface Ender {
  /** Opens the session, when there is none yet, without waiting for it. */
  prepare(): void;
  /** Has the guest kill everything of a command; returns when its session, whose end is `exit`, is over. How long that may take is up to the caller. */
  end(id: string, exit: Promise<Exit>): Promise<void>;
}

export function createEnder(connection: Connection, commandLine: string): Ender {
  let asking: Promise<(id: string) => Promise<string>> | null = null;
  const open = (): Promise<(id: string) => Promise<string>> => {
    asking ??= openConversation(connection, commandLine);
    asking.catch(() => {}); // the connection is lost, which everybody else learns as well
    return asking;
  };
  return {
    prepare: () => void open(),
    async end(id, exit) {
      const ask = await open();
      if ((await connection.orLost(ask(id))) !== '0') connection.lose('the supervisor of a command was killed');
      await exit;
    },
  };
}

/** A line for a line, in order. */
async function openConversation(connection: Connection, commandLine: string): Promise<(id: string) => Promise<string>> {
  const { channel, exit } = await connection.open(commandLine);
  const waiting: ((answer: string) => void)[] = [];
  channel.stderr.resume();
  createInterface({ input: channel }).on('line', (line) => waiting.shift()?.(line));
  exit.then(
    () => connection.lose('the ender of commands was killed'),
    () => {},
  );
  return (id) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    waiting.push(resolve);
    channel.write(`${id}\n`);
    return promise;
  };
}
