/** How the operator's ceiling narrows a value. A key that is not here knows no ceiling. */
import { isolations, permissions } from './schema.ts';
import type { Key, Values } from './values.ts';

type Narrow<T> = (wanted: T, ceiling: T) => T;

const least: Narrow<number> = (wanted, ceiling) => Math.min(wanted, ceiling);
const strongest: Narrow<Values['sandbox.isolation']> = (wanted, ceiling) =>
  isolations[Math.max(isolations.indexOf(wanted), isolations.indexOf(ceiling))] ?? ceiling;
const highest: Narrow<Values['triggers.permission']> = (wanted, ceiling) =>
  permissions[Math.max(permissions.indexOf(wanted), permissions.indexOf(ceiling))] ?? ceiling;
const both: Narrow<boolean> = (wanted, ceiling) => wanted && ceiling;
const onlyCovered: Narrow<readonly string[]> = (wanted, ceiling) => wanted.filter((host) => ceiling.some((rule) => covers(rule, host)));
const alsoThese: Narrow<readonly string[]> = (wanted, ceiling) => [...new Set([...wanted, ...ceiling])];

const narrowing: { readonly [K in Key]?: Narrow<Values[K]> } = {
  'triggers.permission': highest,
  'triggers.bots': (wanted, ceiling) => wanted && wanted.filter((bot) => ceiling?.some((one) => one.toLowerCase() === bot.toLowerCase())),
  'allow.setup': onlyCovered,
  'allow.agent': onlyCovered,
  'allow.proof': onlyCovered,
  'limits.minutes': least,
  'limits.steps': least,
  'limits.tokens': least,
  'limits.costUsd': least,
  'limits.setupMinutes': least,
  'limits.commandSeconds': least,
  'limits.proofMinutes': least,
  'budgets.runsAtOnce': least,
  'budgets.runsPerUserAndHour': least,
  'budgets.runsPerDay': least,
  'budgets.costUsdPerDay': least,
  'sandbox.isolation': strongest,
  'sandbox.cpus': least,
  'sandbox.memoryMib': least,
  'sandbox.diskGib': least,
  'sandbox.root': both,
  ci: (wanted, ceiling) => (ceiling === 'hold' ? 'hold' : wanted),
  'protect.refuse': alsoThese,
};

/** The value within the ceiling. */
export function narrow<K extends Key>(key: K, wanted: Values[K], ceiling: Values[K]): Values[K] {
  return narrowing[key]?.(wanted, ceiling) ?? wanted;
}

/** Whether all that `host` opens is open by `rule`: a port is open only where it is named, `*.` is every depth below. */
function covers(rule: string, host: string): boolean {
  const [allowed, asked] = [readRule(rule), readRule(host)];
  if (allowed.port !== asked.port) return false;
  if (!allowed.wildcard) return !asked.wildcard && allowed.name === asked.name;
  return asked.name.endsWith(`.${allowed.name}`) || (asked.wildcard && asked.name === allowed.name);
}

function readRule(text: string): { readonly name: string; readonly wildcard: boolean; readonly port: string } {
  const wildcard = text.startsWith('*.');
  const [name = '', port = ''] = text
    .slice(wildcard ? 2 : 0)
    .toLowerCase()
    .split(':');
  return { name, wildcard, port };
}
