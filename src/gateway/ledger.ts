/** What a run tried to reach: bounded, since a guest can try for ever. Beyond the single lines there are sums, so that nothing is left out. */
import type { LedgerEntry, LedgerSum } from './gateway.ts';

export type OpenEntry = { -readonly [Key in keyof LedgerEntry]: LedgerEntry[Key] };
type OpenSum = { -readonly [Key in keyof LedgerSum]: LedgerSum[Key] };

export interface Ledger {
  readonly entries: readonly LedgerEntry[];
  readonly sums: readonly LedgerSum[];
  /** Adds an attempt; the entry that comes back is the one to write into as it goes on. */
  add(entry: OpenEntry): { readonly entry: OpenEntry; readonly isListed: boolean };
}

/** For each decision, so that no flood of refused hosts hides an allowed one. */
const maxSums = 1_000;
/** Stands for hosts that have no sum of their own; no host has a space in its name. */
const otherHosts = 'other hosts';

export function createLedger(maxEntries: number): Ledger {
  const entries: LedgerEntry[] = [];
  const sums = new Sums();
  return {
    entries,
    get sums() {
      return sums.rows;
    },
    add(entry) {
      if (entries.length >= maxEntries) return { entry: sums.follow(entry), isListed: false };
      entries.push(entry);
      return { entry, isListed: true };
    },
  };
}

class Sums {
  readonly #rows = new Map<string, OpenSum>();
  readonly #counts = new Map<string, number>();

  get rows(): readonly LedgerSum[] {
    return [...this.#rows.values()];
  }

  /** Whatever is written into the entry from now on is in its sum at once. */
  follow(entry: OpenEntry): OpenEntry {
    let key = this.#enter(entry);
    return new Proxy(entry, {
      set: (target, name, value) => {
        this.#leave(key, target);
        const isSet = Reflect.set(target, name, value);
        key = this.#enter(target);
        return isSet;
      },
    });
  }

  #enter(entry: OpenEntry): string {
    const { decision, bytesIn, bytesOut } = entry;
    const own = ownSum(entry);
    const isKnown = this.#rows.has(keyOf(own)) || (this.#counts.get(decision) ?? 0) < maxSums;
    const sum = isKnown ? own : { ...own, host: otherHosts, port: 0, rule: 'several rules', wouldAllow: null, beyondCeiling: null };
    const key = keyOf(sum);
    const row = this.#rows.get(key) ?? sum;
    if (row === sum) this.#count(decision, 1);
    this.#rows.set(key, row);
    add(row, { count: 1, bytesIn, bytesOut });
    return key;
  }

  #leave(key: string, { bytesIn, bytesOut }: OpenEntry): void {
    const row = this.#rows.get(key);
    if (!row) return;
    add(row, { count: -1, bytesIn: -bytesIn, bytesOut: -bytesOut });
    if (row.count > 0) return;
    this.#rows.delete(key);
    this.#count(row.decision, -1);
  }

  #count(decision: string, change: number): void {
    this.#counts.set(decision, (this.#counts.get(decision) ?? 0) + change);
  }
}

function ownSum({ at, phase, host, port, decision, rule, wouldAllow, beyondCeiling }: OpenEntry): OpenSum {
  // What follows the semicolon is about the end of one connection.
  return { at, phase, host, port, decision, rule: rule.split('; ', 1)[0] ?? '', wouldAllow, beyondCeiling, count: 0, bytesIn: 0, bytesOut: 0 };
}

function keyOf({ phase, host, port, decision, rule, wouldAllow, beyondCeiling }: OpenSum): string {
  return JSON.stringify([phase, host, port, decision, rule, wouldAllow, beyondCeiling]);
}

function add(row: OpenSum, { count, bytesIn, bytesOut }: Pick<LedgerSum, 'count' | 'bytesIn' | 'bytesOut'>): void {
  row.count += count;
  row.bytesIn += bytesIn;
  row.bytesOut += bytesOut;
}
