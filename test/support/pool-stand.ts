/** A pool on a provider whose guests are in memory, for unit tests of it. */
import { Readable } from 'node:stream';
import { pino } from 'pino';
import { FixError } from '../../src/errors.ts';
import { createPool } from '../../src/sandbox/pool.ts';
import type { Pool, PoolOptions } from '../../src/sandbox/pool.ts';
import type { Provider, Sandbox, SandboxSpec } from '../../src/sandbox/sandbox.ts';
import { createFakeSandbox } from './fake-sandbox.ts';

export const vm = { cpus: 2, memoryMib: 1024, diskGib: 10 };

interface Made extends Sandbox {
  readonly lose: () => void;
  /** What the program that thaws it again was sent. */
  readonly messages: string[];
}

export interface Stand {
  readonly provider: Provider;
  /** In the order of their boots. */
  readonly made: Made[];
  readonly disposed: string[];
  readonly asked: SandboxSpec[];
}

interface StandOptions {
  readonly answer?: (id: string) => string;
  readonly refuse?: (boot: number) => boolean;
  /** What is left of the guest of that boot when it is thrown away; by default nothing, at once. */
  readonly leaves?: (boot: number) => Promise<readonly string[]>;
}

/** Guests whose second thaw is answered by `answer`; a boot that `refuse` names throws. */
export function createStand(options: StandOptions = {}): Stand {
  const [made, disposed, asked]: [Made[], string[], SandboxSpec[]] = [[], [], []];
  const provider: Provider = {
    name: 'stand',
    async boot(spec) {
      asked.push(spec);
      spec.signal.throwIfAborted();
      if (options.refuse?.(asked.length)) throw new FixError('sandbox_boot');
      const messages: string[] = [];
      const fake = createFakeSandbox({
        async exec([, word], { stdin }) {
          if (word !== '--again' || !(stdin instanceof Readable)) return {};
          messages.push(await readMessage(stdin));
          return { stdout: `${options.answer?.(spec.id) ?? 'ok'}\n` };
        },
      });
      const number = asked.length;
      const dispose = async () => {
        const left = (await options.leaves?.(number)) ?? [];
        disposed.push(spec.id);
        return left;
      };
      const sandbox: Made = { ...fake, id: spec.id, messages, dispose };
      made.push(sandbox);
      return sandbox;
    },
    sweep: async () => ['swept'],
  };
  return { provider, made, disposed, asked };
}

export const openPoolOf = ({ provider }: Stand, changes: Partial<PoolOptions> = {}): Pool =>
  createPool({ provider, size: 1, vm, availableMib: () => 100_000, log: pino({ level: 'silent' }), ...changes });
export const bootFrom = (pool: Pool, id: string, size?: SandboxSpec['size']): Promise<Sandbox> =>
  pool.boot({ id, signal: new AbortController().signal, ...(size && { size }) });

/** As the guest does: up to its last line, and no further. */
async function readMessage(stdin: Readable): Promise<string> {
  let message = '';
  for await (const chunk of stdin) {
    message += String(chunk);
    if (message.endsWith('\nend\n')) break;
  }
  return message;
}
