/**
 * The log: pino, one JSON line an event, with every live secret scrubbed by value from the finished line.
 * pino's own `redact` goes by path and does not see a secret inside `msg` or `err.message`; this does.
 */
import { pino } from 'pino';
import type { Logger } from 'pino';
import { build as createPrettyStream } from 'pino-pretty';

export type Log = Logger;

/** The values that must never be written anywhere. One per process, made by main, passed along with the log. */
export interface Secrets {
  /** Remembers a live secret; also in base64, as HTTP Basic carries it. Values under 8 characters are not secrets. */
  protect(value: string): void;
  /** The text with every remembered secret replaced by `[secret]`. */
  scrub(text: string): string;
}

export function createSecrets(): Secrets {
  const values = new Set<string>();
  return {
    protect(value) {
      if (value.length < 8) return;
      const base64 = Buffer.from(value).toString('base64').replace(/=+$/, '');
      const basic = Buffer.from(`x-access-token:${value}`).toString('base64').replace(/=+$/, '');
      for (const form of [value, JSON.stringify(value).slice(1, -1), base64, basic, encodeURIComponent(value)]) values.add(form);
    },
    scrub(text) {
      let clean = text;
      for (const value of values) if (clean.includes(value)) clean = clean.replaceAll(value, '[secret]');
      return clean;
    },
  };
}

interface LogOptions {
  readonly level: string;
  readonly secrets: Secrets;
  readonly format: 'json' | 'pretty';
}

/** `destination` is where lines go (default stderr, so that stdout stays free for results). */
export function createLog({ level, secrets, format }: LogOptions, destination: { write(line: string): unknown } = process.stderr): Log {
  const stream = format === 'pretty' ? createPrettyStream({ destination, sync: true }) : destination;
  return pino({ level, base: null, hooks: { streamWrite: secrets.scrub } }, stream);
}
