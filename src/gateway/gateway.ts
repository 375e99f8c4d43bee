/** The only way out of a VM: a host-side HTTP proxy, default deny, one per VM, with a ledger. */
import type { Duplex } from 'node:stream';
import type { Log } from '../log.ts';

/** One attempt to get out, allowed or not. */
export interface LedgerEntry {
  readonly at: string;
  readonly phase: string;
  readonly method: string;
  readonly host: string;
  readonly port: number;
  readonly decision: 'allowed' | 'refused' | 'failed';
  /** The rule that decided, in words: `allow registry.npmjs.org`, `not on the list`, `private address`, ... */
  readonly rule: string;
  /** Received by the guest; counted while the connection lives, final when it has ended. */
  readonly bytesIn: number;
  /** Sent by the guest. */
  readonly bytesOut: number;
}

/** What one run may cost the host. */
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
  /** Of the whole run, both directions. */
  readonly totalBytes: number;
  readonly ledgerEntries: number;
}

/** Every address of a name; throws when there is none. */
export type Lookup = (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;

export interface GatewayOptions {
  /** Host names; `*.example.org` matches any number of labels below it. */
  readonly allow: readonly string[];
  /** Hosts that the operator vouches for although their address is private (a corporate registry). */
  readonly internal: readonly string[];
  /** `http://proxy:3128`, when the host itself has to go through one. Credentials in it never enter the VM. */
  readonly upstreamProxy: URL | null;
  /** Named in the refusal: which settings key would allow the host. */
  readonly settingsKey: string;
  readonly log: Log;
  /** Name of the first phase. Default `setup`. */
  readonly phase?: string;
  readonly limits?: Partial<GatewayLimits>;
  /** Default: the host's own resolver. */
  readonly lookup?: Lookup;
  /** Addresses that lead to this host itself. Default: those of its network cards. */
  readonly ownAddresses?: () => readonly string[];
}

export interface Gateway {
  /** Takes one connection from the guest. */
  accept(stream: Duplex): void;
  /** A new phase with a new allowlist; open tunnels to hosts that are no longer allowed are cut. */
  enter(phase: string, allow: readonly string[]): void;
  readonly ledger: readonly LedgerEntry[];
  /** Attempts that came after the ledger was full. */
  readonly unlisted: number;
  close(): Promise<void>;
}
