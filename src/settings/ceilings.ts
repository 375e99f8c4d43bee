/** How the operator's ceiling narrows a value. A key that is not here knows no ceiling. */
import { withinCeiling } from './host-rules.ts';
import { isolations, permissions } from './schema.ts';
import type { Key, Values } from './values.ts';

type Narrow<T> = (wanted: T, ceiling: T) => T;

const least: Narrow<number> = (wanted, ceiling) => Math.min(wanted, ceiling);
const strongest: Narrow<Values['sandbox.isolation']> = (wanted, ceiling) =>
  isolations[Math.max(isolations.indexOf(wanted), isolations.indexOf(ceiling))] ?? ceiling;
const highest: Narrow<Values['triggers.permission']> = (wanted, ceiling) =>
  permissions[Math.max(permissions.indexOf(wanted), permissions.indexOf(ceiling))] ?? ceiling;
const both: Narrow<boolean> = (wanted, ceiling) => wanted && ceiling;
const alsoThese: Narrow<readonly string[]> = (wanted, ceiling) => [...new Set([...wanted, ...ceiling])];

const narrowing: { readonly [K in Key]?: Narrow<Values[K]> } = {
  'triggers.permission': highest,
  'triggers.bots': (wanted, ceiling) => wanted && wanted.filter((bot) => ceiling?.some((one) => one.toLowerCase() === bot.toLowerCase())),
  'allow.setup': withinCeiling,
  'allow.agent': withinCeiling,
  'allow.proof': withinCeiling,
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
