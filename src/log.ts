/**
 * The log: pino, one JSON line an event, with every live secret scrubbed by value from the finished line.
 * pino's own `redact` goes by path and does not see a secret inside `msg` or `err.message`; this does.
 */
import { pino } from 'pino';
import type { Logger } from 'pino';

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

/** `destination` is where lines go (default stderr, so that stdout stays free for results). */
export function createLog(
  options: { level: string; secrets: Secrets; format: 'json' | 'pretty' },
  destination: { write(line: string): unknown } = process.stderr,
): Log {
  return pino({ level: options.level, base: null, hooks: { streamWrite: options.secrets.scrub } }, destination);
}
