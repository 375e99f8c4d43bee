/** What a run tried to reach: bounded, since a guest can try for ever. */
import type { LedgerEntry } from './gateway.ts';

export type OpenEntry = { -readonly [Key in keyof LedgerEntry]: LedgerEntry[Key] };

export interface Ledger {
  readonly entries: readonly LedgerEntry[];
  readonly unlisted: number;
  /** Adds a line; false when the ledger is full and the line was only counted. */
  add(entry: OpenEntry): boolean;
}

export function createLedger(maxEntries: number): Ledger {
  const entries: LedgerEntry[] = [];
  let unlisted = 0;
  return {
    entries,
    get unlisted() {
      return unlisted;
    },
    add(entry) {
      if (entries.length < maxEntries) return entries.push(entry) > 0;
      unlisted += 1;
      return false;
    },
  };
}
