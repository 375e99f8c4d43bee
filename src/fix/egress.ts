/** What tried to leave the VMs of a run, by host: a refused host is one line for people, however often and from where it was asked for. */
import type { Gateway, LedgerEntry } from '../gateway/gateway.ts';

/** `vm` is the suffix of the VM's id. */
export interface EgressEntry extends LedgerEntry {
  readonly vm: string;
  /** Of attempts that it stands for; left out for one. */
  readonly count?: number;
}

/** All that one VM tried: the lines of its gateway's ledger, then the sums of what came after them. */
export function egressOf({ ledger, unlisted }: Pick<Gateway, 'ledger' | 'unlisted'>, vm: string): readonly EgressEntry[] {
  return [...ledger.map((entry) => ({ ...entry, vm })), ...unlisted.map((sum) => ({ ...sum, method: '', path: null, vm }))];
}

/** What is not there line by line, in a sentence; null when all is. */
export function describeUnlisted({ ledger, unlisted }: Pick<Gateway, 'ledger' | 'unlisted'>, vm: string): string | null {
  const count = unlisted.reduce((sum, row) => sum + row.count, 0);
  return count === 0 ? null : `VM "${vm}" tried ${ledger.length + count} times to get out: of the last ${count} attempts only the sums were kept.`;
}

/** Attempts that differ in nothing but time and size. */
export interface EgressGroup extends Pick<LedgerEntry, 'phase' | 'port' | 'decision' | 'rule' | 'bytesIn' | 'bytesOut'> {
  readonly vm: string;
  readonly count: number;
}

export interface HostEgress {
  /** As the guest named it; hostile. */
  readonly host: string;
  readonly attempts: readonly EgressGroup[];
}

/** In the order of the first attempt at each. */
export function groupByHost(entries: readonly EgressEntry[]): readonly HostEgress[] {
  const hosts = new Map<string, Map<string, EgressGroup>>();
  for (const entry of entries) {
    const { host, vm, phase, port, decision } = entry;
    // What follows is about the end of that connection.
    const rule = entry.rule.split('; ', 1)[0] ?? '';
    const groups = hosts.get(host) ?? new Map<string, EgressGroup>();
    hosts.set(host, groups);
    const key = JSON.stringify([vm, phase, port, decision, rule]);
    const before = groups.get(key) ?? { count: 0, bytesIn: 0, bytesOut: 0 };
    const sums = { count: before.count + (entry.count ?? 1), bytesIn: before.bytesIn + entry.bytesIn, bytesOut: before.bytesOut + entry.bytesOut };
    groups.set(key, { vm, phase, port, decision, rule, ...sums });
  }
  return [...hosts].map(([host, groups]) => ({ host, attempts: [...groups.values()] }));
}

/** A line for each host that was refused; `show` makes a host safe to read where the line goes. Rules are our own words. */
export function describeRefused(entries: readonly EgressEntry[], show: (text: string) => string): readonly string[] {
  return groupByHost(entries.filter(({ decision }) => decision === 'refused')).map(({ host, attempts }) => {
    const parts = attempts.map(({ count, phase, vm, rule }) => `${count === 1 ? 'once' : `${count} times`} during ${describePlace(phase, vm)} (${rule})`);
    return `${show(host)}: ${parts.slice(0, maxShownGroups).join(', ')}${parts.length > maxShownGroups ? ' and more' : ''}`;
  });
}

export interface ReachedHost {
  /** As the guest named it; hostile. */
  readonly host: string;
  /** How often, and where: our own words. */
  readonly attempts: string;
  /** Received by the VMs, and sent by them. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What was let through, by host, in the order of the first attempt at each. */
export function describeReached(entries: readonly EgressEntry[]): readonly ReachedHost[] {
  return groupByHost(entries.filter(({ decision }) => decision === 'allowed')).map(({ host, attempts }) => {
    const places = Map.groupBy(attempts, ({ phase, vm }) => describePlace(phase, vm));
    const parts = [...places].map(([place, groups]) => `${sum(groups, 'count')} during ${place}`);
    return { host, attempts: parts.join(', '), bytesIn: sum(attempts, 'bytesIn'), bytesOut: sum(attempts, 'bytesOut') };
  });
}

const sum = (groups: readonly EgressGroup[], what: 'count' | 'bytesIn' | 'bytesOut'): number => groups.reduce((all, group) => all + group[what], 0);

const maxShownGroups = 6;

function describePlace(phase: string, vm: string): string {
  if (phase === 'agent') return 'the work of the agent';
  const which = vm === 'proof' ? 'the proof' : vm.startsWith('proof') ? `proof ${vm.slice('proof'.length)}` : 'the agent';
  return phase === 'proof' ? which : `${phase} for ${which}`;
}
