/** The only way out of a VM: a host-side HTTP proxy, default deny, one per VM, with a ledger. */
import type { Duplex } from 'node:stream';
import type { Log } from '../log.ts';
import type { CeilingOptions } from './ceiling.ts';
import type { Credential } from './credentials.ts';
import type { Registry } from './package-names.ts';
import type { RunUsage } from './run-usage.ts';
import type { Trust } from './trust.ts';

/** One attempt to get out, allowed or not. */
export interface LedgerEntry {
  readonly at: string;
  readonly phase: string;
  readonly method: string;
  readonly host: string;
  readonly port: number;
  /** Without the query; null where the gateway does not see it. */
  readonly path: string | null;
  readonly decision: 'allowed' | 'refused' | 'failed';
  /** The rule that decided, in words: `allow registry.npmjs.org`, `not on the list`, `private address`, ... */
  readonly rule: string;
  /** The entry of an allowlist that would have let a refused attempt through; null when none would, or none may. */
  readonly wouldAllow: string | null;
  /** The entry that would have, if the operator's ceiling let settings have it; null when the ceiling is not the reason. */
  readonly beyondCeiling: string | null;
  /** Received by the guest; counted while the connection lives, final when it has ended. */
  readonly bytesIn: number;
  /** Sent by the guest. */
  readonly bytesOut: number;
}

/** Attempts of one kind that have no lines of their own, since there were too many. */
export interface LedgerSum extends Omit<LedgerEntry, 'method' | 'path'> {
  /** At least 1; `at` is the first of them. */
  readonly count: number;
}

/** What one run may cost the host: those of the first part each of its VMs, those of the second all of them together. */
export interface GatewayLimits {
  /** Connections of the guest at once. */
  readonly connections: number;
  /** Of a request, before any of it is believed. */
  readonly headerBytes: number;
  /** For the request head, and for the TLS hello in a tunnel. */
  readonly headerTimeoutMs: number;
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
  /** For resolving and connecting. */
  readonly dialTimeoutMs: number;
  /** Lines of the ledger; what comes after them is told in sums. */
  readonly ledgerEntries: number;

  /** In both directions, of all VMs of the run in all their phases, as all that follow. */
  readonly totalBytes: number;
  readonly requests: number;
  /** Names of packages that it may ask registries for after setup, beside those that its repository names. */
  readonly packageNames: number;
  /** Addresses at which it may ask them then, each counted once: versions and files of known packages are words, too. */
  readonly packageAddresses: number;
}

/** Every address of a name; throws when there is none. */
export type Lookup = (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;

export interface GatewayOptions {
  /** Entries as in the settings: `*.example.org` matches any number of labels below it, `GET example.org/a/*` a part of a host. */
  readonly allow: readonly string[];
  /** Hosts that the operator vouches for although their address is private (a corporate registry). */
  readonly internal: readonly string[];
  /** `http://proxy:3128`, when the host itself has to go through one. Credentials in it never enter the VM. */
  readonly upstreamProxy: URL | null;
  /** Hosts that are reached without it, as in NO_PROXY. */
  readonly noProxy?: string | null;
  /** Named in the refusal: which settings key would allow the host. */
  readonly settingsKey: string;
  /** Named in the refusal of what no settings can open. Default: they can open everything. */
  readonly ceiling?: CeilingOptions | null;
  /** Whether an entry can stand in the settings: no other is advised. Default: every one can. */
  readonly isSettable?: (entry: string) => boolean;
  readonly log: Log;
  /** Hosts whose requests are inspected after setup. */
  readonly registries?: readonly Registry[];
  /** Those that this run may use. */
  readonly credentials?: readonly Credential[];
  /** Whether the repository names this package. */
  readonly isKnownPackage?: (name: string) => boolean;
  /** For hosts whose requests are inspected, and for an https:// upstream proxy. Default: Node's own list. */
  readonly trust?: Trust;
  /** Name of the first phase. Default `setup`. */
  readonly phase?: string;
  readonly limits?: Partial<GatewayLimits>;
  /** What the run has used up already, and other VMs of it go on using. Default: nothing, and nobody. */
  readonly run?: RunUsage;
  /** Default: the host's own resolver. */
  readonly lookup?: Lookup;
  /** Addresses that lead to this host itself, with the length of their networks (`192.0.2.2/24`). Default: those of its network cards. */
  readonly ownAddresses?: () => readonly string[];
}

export interface Gateway {
  /** Takes one connection from the guest. */
  accept(stream: Duplex): void;
  /** The certificate that the guest has to trust, PEM: hosts whose requests are inspected show one of its making. */
  authority(): Promise<string>;
  /** A new phase with a new allowlist; what is open and would not be allowed so any more is cut. */
  enter(phase: string, allow: readonly string[]): void;
  readonly ledger: readonly LedgerEntry[];
  /** Attempts that came after the ledger was full, in sums. */
  readonly unlisted: readonly LedgerSum[];
  close(): Promise<void>;
}
