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
  /** Whether the text carries one in any form that `scrub` knows, or spread over lines, or percent-encoded. For what is about to be published. */
  leaks(text: string): boolean;
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
    leaks(text) {
      const forms = [...formsBySecret.values()]
        .flat()
        .flatMap((form) => [form, joined(form)])
        .filter((form) => form.length >= 8);
      return forms.length > 0 && readings(text).some((reading) => forms.some((form) => reading.includes(form)));
    },
  };
}

/** As it is, inside of JSON, in a URL, backwards, in hex, and in base64 wherever in it the secret begins. */
function formsOf(value: string): readonly string[] {
  const hex = Buffer.from(value).toString('hex');
  const base64 = [0, 1, 2].map((before) => base64Of(value, before));
  const forms = [
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value),
    Array.from(value).toReversed().join(''),
    hex,
    hex.toUpperCase(),
    ...base64,
  ];
  return [...new Set([...forms, ...base64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'))])];
}

/** What of the base64 of a longer text depends on the secret alone, when `before` bytes (modulo 3) stand before it. */
function base64Of(value: string, before: number): string {
  const all = Buffer.from(' '.repeat(before) + value).toString('base64');
  const ofNeighbours = all.endsWith('=') ? all.indexOf('=') - 1 : all.length;
  return all.slice(before === 0 ? 0 : before + 1, ofNeighbours);
}

/** The text, the text without what people split words with, and both with `%41` read as `A`. */
function readings(text: string): readonly string[] {
  const both = [text, joined(text)];
  return [...both, ...both.filter((reading) => reading.includes('%')).map(percentDecoded)];
}

const joined = (text: string): string => text.replace(/[\s\p{Cc}\p{Cf}"'`+,;|\\]+/gu, '');

const percentDecoded = (text: string): string => text.replace(/%([0-9a-f]{2})/gi, (_match, code: string) => String.fromCodePoint(Number.parseInt(code, 16)));

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
