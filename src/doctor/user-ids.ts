/** The user ids that VMs run as: each VM has one of its own, which nobody else on this host may have. */
import { readFile, readdir } from 'node:fs/promises';
import { ok, problem, warning } from './check.ts';
import type { Check, Verdict } from './check.ts';

export interface UidRange {
  readonly first: number;
  readonly count: number;
}

export interface UserIdFacts {
  readonly isRoot: boolean;
  readonly range: UidRange;
  /** Users and groups of this host, services with a user that systemd made for them included. */
  readonly accounts: readonly { readonly name: string; readonly id: number }[];
  /** Ranges of /etc/subuid and /etc/subgid: rootless containers of these users run as them. */
  readonly subordinates: readonly (UidRange & { readonly owner: string })[];
  /** What this user namespace has of the host's ids: all of them, or, in a rootless container, few. */
  readonly mapped: readonly UidRange[];
}

export function judgeUserIds({ isRoot, range, accounts, subordinates, mapped }: UserIdFacts): Verdict {
  const shown = `${range.first} to ${lastOf(range)}`;
  if (!isRoot) return warning('not root: every VM runs as your own user', 'Run the worker as root: sudo -E npx mayfly start --role worker');
  if (!mapped.some((part) => part.first <= range.first && lastOf(part) >= lastOf(range))) {
    return problem(`${shown} do not exist in this container`, 'Run the worker as root of the host: without userns-remap, and not in a rootless container');
  }
  const advice = `MAYFLY_UID_FIRST=${freeRange({ range, accounts, subordinates }).first}`;
  const account = accounts.find(({ id }) => id >= range.first && id <= lastOf(range));
  if (account) return problem(`${shown} would be taken, but ${account.id} is ${account.name}`, advice);
  const subordinate = subordinates.find((other) => overlaps(other, range));
  if (subordinate) return problem(`${shown} overlap the ${subordinate.first} to ${lastOf(subordinate)} of ${subordinate.owner} in /etc/subuid`, advice);
  return ok(`${shown} are free`);
}

function freeRange({ range, accounts, subordinates }: Pick<UserIdFacts, 'range' | 'accounts' | 'subordinates'>): UidRange {
  const isFree = (candidate: UidRange): boolean =>
    !accounts.some(({ id }) => id >= candidate.first && id <= lastOf(candidate)) && !subordinates.some((other) => overlaps(other, candidate));
  // Users and services end at 65,535, and adduser begins with subordinate ids at 100,000.
  for (let first = 66_000; ; first += range.count) {
    const candidate = { first, count: range.count };
    if (isFree(candidate)) return candidate;
  }
}

const lastOf = ({ first, count }: UidRange): number => first + count - 1;
const overlaps = (one: UidRange, other: UidRange): boolean => one.first <= lastOf(other) && other.first <= lastOf(one);

export function userIdCheck(range: UidRange): Check {
  return { group: 'host', name: 'user ids', look: async () => judgeUserIds(await readUserIds(range)) };
}

async function readUserIds(range: UidRange): Promise<UserIdFacts> {
  const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
  const [users, groups, subuid, subgid, map, dynamic] = await Promise.all([
    ...['/etc/passwd', '/etc/group', '/etc/subuid', '/etc/subgid', '/proc/self/uid_map'].map(read),
    // systemd's DynamicUser= takes ids from 61184 on; a file or link here is named after each.
    readdir('/run/systemd/dynamic-uid').then(
      (names) => names.join('\n'),
      () => '',
    ),
  ]);
  return {
    isRoot: process.getuid?.() === 0,
    range,
    accounts: [...parseAccounts(users), ...parseAccounts(groups), ...parseDynamic(dynamic)],
    subordinates: [...parseSubordinates(subuid), ...parseSubordinates(subgid)],
    mapped: parseMap(map),
  };
}

const lines = (text: string | undefined): string[] => (text ?? '').split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));

/** `name:x:id:...`, as in /etc/passwd and /etc/group. */
export function parseAccounts(text: string | undefined): { name: string; id: number }[] {
  return lines(text).flatMap((line) => {
    const [name = '', , id = ''] = line.split(':');
    return /^\d+$/.test(id) ? [{ name, id: Number(id) }] : [];
  });
}

function parseDynamic(names: string | undefined): { name: string; id: number }[] {
  return lines(names).flatMap((name) => (/^\d+$/.test(name) ? [{ name: 'a service of systemd', id: Number(name) }] : []));
}

/** `owner:first:count`. */
export function parseSubordinates(text: string | undefined): (UidRange & { owner: string })[] {
  return lines(text).flatMap((line) => {
    const [owner = '', first, count] = line.split(':');
    return Number(count) > 0 ? [{ owner, first: Number(first), count: Number(count) }] : [];
  });
}

/** `inside outside count` of /proc/self/uid_map. Where there are no user namespaces, every id is there. */
export function parseMap(text: string | undefined): UidRange[] {
  const parts = lines(text).map((line) => line.trim().split(/\s+/).map(Number));
  return parts.length === 0 ? [{ first: 0, count: 2 ** 32 }] : parts.map(([first = 0, , count = 0]) => ({ first, count }));
}
