/** A log whose lines are kept. */
import { createLog, createSecrets } from '../../src/log.ts';
import type { Log } from '../../src/log.ts';

export interface CapturedLog {
  readonly log: Log;
  /** The finished lines, as they would be written. */
  readonly lines: readonly string[];
  messages(): string[];
}

export function captureLog(secrets = createSecrets()): CapturedLog {
  const lines: string[] = [];
  const log = createLog({ level: 'debug', secrets, format: 'json' }, { write: (line: string) => lines.push(line) });
  return { log, lines, messages: () => lines.map((line) => String((JSON.parse(line) as { msg?: unknown }).msg)) };
}
