/**
 * QEMU's machine protocol over an inherited socket: one JSON object a line. Whoever holds it can do all that the QEMU
 * process can, so it has no name on disk and no path that a guest could reach.
 */
import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { FixError } from '../errors.ts';

const maxLineBytes = 1 << 20;

const Message = z.union([
  z.object({ QMP: z.unknown() }),
  z.object({ return: z.unknown(), id: z.number() }),
  z.object({ error: z.object({ class: z.string(), desc: z.string() }), id: z.number().optional() }),
  z.object({ event: z.string(), data: z.record(z.string(), z.unknown()).optional() }),
]);

export interface Qmp {
  execute(command: string, parameters?: Record<string, unknown>): Promise<unknown>;
  /** Starts a migration, in or out, and resolves when it has completed. The capability `events` must be on. */
  migrated(start: () => Promise<unknown>): Promise<void>;
}

interface Waiting {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: FixError) => void;
}

/** Takes the greeting and leaves negotiation mode. Everything rejects with `sandbox_boot` when the stream ends. */
export async function openQmp(stream: Duplex): Promise<Qmp> {
  const waiting = new Map<number, Waiting>();
  const events = new EventEmitter();
  const closed = Promise.withResolvers<never>();
  closed.promise.catch(() => {});
  let lastId = 0;

  const close = (cause: unknown) => {
    const error = new FixError('sandbox_boot', { cause, details: { why: 'QEMU closed its monitor' } });
    closed.reject(error);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  const take = (line: string) => {
    const message = Message.parse(JSON.parse(line));
    if ('event' in message) return void events.emit(message.event, message.data ?? {});
    if ('QMP' in message) return void events.emit('greeting');
    const asked = waiting.get(message.id ?? -1);
    waiting.delete(message.id ?? -1);
    if ('return' in message) asked?.resolve(message.return);
    else asked?.reject(new FixError('sandbox_boot', { details: { command: asked.command, error: message.error } }));
  };
  stream.on('close', () => close(undefined)).on('error', close);
  readLines(stream, take, (cause) => {
    close(cause);
    stream.destroy();
  });

  const qmp: Qmp = {
    execute(command, parameters = {}) {
      const id = (lastId += 1);
      const answer = new Promise<unknown>((resolve, reject) => waiting.set(id, { command, resolve, reject }));
      if (stream.destroyed) close(undefined);
      else stream.write(`${JSON.stringify({ execute: command, arguments: parameters, id })}\n`);
      return answer;
    },
    async migrated(start) {
      const ended = Promise.withResolvers<void>();
      ended.promise.catch(() => {}); // a failure may come before start() has returned
      const see = ({ status }: { status?: unknown }): void => {
        if (status === 'completed') ended.resolve();
        if (status === 'failed' || status === 'cancelled') ended.reject(new FixError('sandbox_boot', { details: { why: `migration ${status}` } }));
      };
      events.on('MIGRATION', see);
      try {
        await start();
        await Promise.race([ended.promise, closed.promise]);
      } finally {
        events.off('MIGRATION', see);
      }
    },
  };
  await Promise.race([new Promise((resolve) => events.once('greeting', resolve)), closed.promise]);
  await qmp.execute('qmp_capabilities');
  return qmp;
}

function readLines(stream: Duplex, take: (line: string) => void, fail: (cause: unknown) => void): void {
  let rest = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    try {
      if (rest.length > maxLineBytes) throw new RangeError('a line of QEMU is too long');
      for (const line of lines) if (line.trim() !== '') take(line);
    } catch (cause) {
      fail(cause);
    }
  });
}
