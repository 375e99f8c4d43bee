/**
 * The log: pino, one JSON line an event, with every live secret scrubbed by value from the finished line.
 * pino's own `redact` goes by path and does not see a secret inside `msg` or `err.message`; this does.
 */
import { pino, stdSerializers } from 'pino';
import type { Logger } from 'pino';
import { build as createPrettyStream } from 'pino-pretty';

export type Log = Logger;

/** The values that must never be written anywhere. One per process, made by main, passed along with the log. */
export interface Secrets {
  /** Remembers a live secret; also in base64, as HTTP Basic carries it. Values under 8 characters are not secrets. */
  protect(value: string): void;
  /** For a token that was revoked: a worker that lives for months must not search each line for all it ever had. */
  forget(value: string): void;
  /** The text with every remembered secret replaced by `[secret]`. */
  scrub(text: string): string;
}

export function createSecrets(): Secrets {
  const formsBySecret = new Map<string, readonly string[]>();
  return {
    protect(value) {
      if (value.length >= 8) formsBySecret.set(value, formsOf(value));
    },
    forget: (value) => void formsBySecret.delete(value),
    scrub(text) {
      let clean = text;
      for (const form of formsBySecret.values().flatMap((forms) => forms)) if (clean.includes(form)) clean = clean.replaceAll(form, '[secret]');
      return clean;
    },
  };
}

/** As it is, inside of JSON, in a URL, and in base64 alone and as HTTP Basic carries it. */
function formsOf(value: string): readonly string[] {
  const base64 = (text: string): string => Buffer.from(text).toString('base64').replace(/=+$/, '');
  return [...new Set([value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value), base64(value), base64(`x-access-token:${value}`)])];
}

interface LogOptions {
  readonly level: string;
  readonly secrets: Secrets;
  readonly format: 'json' | 'pretty';
}

/** `destination` is where lines go (default stderr, so that stdout stays free for results). */
export function createLog({ level, secrets, format }: LogOptions, destination: { write(line: string): unknown } = process.stderr): Log {
  const stream = format === 'pretty' ? createPrettyStream({ destination, sync: true }) : destination;
  return pino({ level, base: null, serializers: { err: serializeError }, hooks: { streamWrite: secrets.scrub } }, stream);
}

/** What a command in a guest printed is long, hostile and already told to the person who asked: the log keeps its size. */
function serializeError(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const error = stdSerializers.err(thrown);
  const details = error['details'] as Record<string, unknown> | undefined;
  if (typeof details?.['output'] !== 'string') return error;
  return { ...error, details: { ...details, output: `[${details['output'].length} characters]` } };
}
