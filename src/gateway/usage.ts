/** What a VM does with the way out: its ledger, and its part of what its run may use. */
import type { Log } from '../log.ts';
import type { GatewayLimits, LedgerEntry, LedgerSum } from './gateway.ts';
import { createLedger } from './ledger.ts';
import type { Ledger, OpenEntry } from './ledger.ts';
import type { RunUsage } from './run-usage.ts';

/** A request as far as it was understood. */
export type Described = Pick<OpenEntry, 'method' | 'host' | 'port' | 'path'>;
export type Decided = Pick<LedgerEntry, 'decision' | 'rule'> & Partial<Pick<LedgerEntry, 'wouldAllow' | 'beyondCeiling'>>;

export interface GatewayUsageOptions {
  readonly run: RunUsage;
  readonly limits: GatewayLimits;
  readonly log: Log;
  /** The bytes are used up, by whichever VM of the run; said again with each further one. */
  readonly onOverByteLimit: () => void;
}

export class GatewayUsage {
  readonly #options: GatewayUsageOptions;
  readonly #ledger: Ledger;
  phase: string;
  #isFull = false;

  constructor(phase: string, options: GatewayUsageOptions) {
    this.phase = phase;
    this.#options = options;
    this.#ledger = createLedger(options.limits.ledgerEntries);
  }

  get entries(): readonly LedgerEntry[] {
    return this.#ledger.entries;
  }

  get unlisted(): readonly LedgerSum[] {
    return this.#ledger.sums;
  }

  get isOverByteLimit(): boolean {
    const { run, limits } = this.#options;
    return run.bytes >= limits.totalBytes;
  }

  /** Counts one request; false when it is one too many. */
  takeRequest(): boolean {
    const { run, limits } = this.#options;
    run.requests += 1;
    return run.requests <= limits.requests;
  }

  record(described: Described, decided: Decided): OpenEntry {
    const { phase } = this;
    const attempt = { at: new Date().toISOString(), phase, ...described, wouldAllow: null, beyondCeiling: null, ...decided, bytesIn: 0, bytesOut: 0 };
    const { log } = this.#options;
    const { entry, isListed } = this.#ledger.add(attempt);
    // A guest can ask for ever: what the ledger does not list, the log does not list either.
    if (isListed) log.debug({ phase, ...described, ...decided }, 'gateway attempt');
    else if (!this.#isFull) log.warn({ phase }, 'gateway ledger is full');
    this.#isFull ||= !isListed;
    return entry;
  }

  addBytes(entry: OpenEntry | null, direction: 'in' | 'out', count: number): void {
    if (entry) entry[direction === 'in' ? 'bytesIn' : 'bytesOut'] += count;
    this.#options.run.bytes += count;
    if (this.isOverByteLimit) this.#options.onOverByteLimit();
  }
}
