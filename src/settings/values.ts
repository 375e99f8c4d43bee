/** Every key with a value: what a run works by. Flat, because layers are laid over each other key by key. */
import { expandPresets } from './host-rules.ts';
import type { Settings, isolations, permissions } from './schema.ts';

export type Isolation = (typeof isolations)[number];
export type Permission = (typeof permissions)[number];

export interface Values {
  readonly enabled: boolean;
  readonly label: string;
  readonly 'triggers.permission': Permission;
  /** Null: those that the operator allows. */
  readonly 'triggers.bots': readonly string[] | null;
  /** Null: what the files of the repository suggest. */
  readonly setup: readonly string[] | null;
  readonly test: string | null;
  readonly 'allow.setup': readonly string[];
  readonly 'allow.agent': readonly string[];
  readonly 'allow.proof': readonly string[];
  readonly timezone: string | null;
  readonly locale: string | null;
  /** Null: the operator's. */
  readonly model: string | null;
  readonly 'limits.minutes': number;
  readonly 'limits.steps': number;
  readonly 'limits.tokens': number;
  readonly 'limits.costUsd': number;
  readonly 'limits.setupMinutes': number;
  readonly 'limits.commandSeconds': number;
  readonly 'limits.proofMinutes': number;
  readonly 'budgets.runsAtOnce': number;
  readonly 'budgets.runsPerUserAndHour': number;
  readonly 'budgets.runsPerDay': number;
  readonly 'budgets.costUsdPerDay': number;
  /** `registry/name:tag` or `registry/name@sha256:...`; null: the template of this installation. */
  readonly 'sandbox.image': string | null;
  readonly 'sandbox.isolation': Isolation;
  readonly 'sandbox.cpus': number;
  readonly 'sandbox.memoryMib': number;
  readonly 'sandbox.diskGib': number;
  readonly 'sandbox.root': boolean;
  readonly plan: 'asked' | 'always';
  readonly ci: 'hold' | 'run';
  readonly branchPrefix: string;
  readonly draft: boolean;
  readonly labels: readonly string[];
  readonly reviewers: readonly string[];
  readonly 'followUps.checks': boolean;
  readonly 'followUps.conflicts': boolean;
  readonly 'followUps.foreign': 'pull_request' | 'push';
  readonly 'followUps.quietSeconds': number;
  readonly 'protect.refuse': readonly string[];
  readonly 'protect.ask': readonly string[];
  readonly 'protect.allow': readonly string[];
}

export type Key = keyof Values;

/** What holds where nobody says anything. Their order is the one in which keys are shown. */
export const defaults: Values = {
  enabled: true,
  label: 'mayfly',
  'triggers.permission': 'write',
  'triggers.bots': null,
  setup: null,
  test: null,
  'allow.setup': [],
  'allow.agent': [],
  'allow.proof': [],
  timezone: null,
  locale: null,
  model: null,
  'limits.minutes': 60,
  'limits.steps': 200,
  'limits.tokens': 20_000_000,
  'limits.costUsd': 5,
  'limits.setupMinutes': 15,
  'limits.commandSeconds': 300,
  'limits.proofMinutes': 15,
  'budgets.runsAtOnce': 1,
  'budgets.runsPerUserAndHour': 5,
  'budgets.runsPerDay': 50,
  'budgets.costUsdPerDay': 25,
  'sandbox.image': null,
  'sandbox.isolation': 'emulation',
  'sandbox.cpus': 2,
  'sandbox.memoryMib': 4096,
  'sandbox.diskGib': 10,
  'sandbox.root': false,
  plan: 'asked',
  ci: 'hold',
  branchPrefix: 'mayfly',
  draft: true,
  labels: [],
  reviewers: [],
  'followUps.checks': true,
  'followUps.conflicts': false,
  'followUps.foreign': 'pull_request',
  'followUps.quietSeconds': 120,
  'protect.refuse': [],
  'protect.ask': [],
  'protect.allow': [],
};

/** What a default of nothing means, in words; for people. */
export const whatNullMeans: Partial<Record<Key, string>> = {
  'triggers.bots': 'those that the operator allows',
  setup: 'what the files of the repository suggest',
  test: 'what the files of the repository suggest',
  timezone: 'UTC',
  locale: 'C.UTF-8',
  model: 'MAYFLY_MODEL of the operator',
  'sandbox.image': 'the one that Mayfly builds: Debian 12',
};

export const keys = Object.keys(defaults) as readonly Key[];

/** The key of a file that says a value: `allow` may be one list for all phases. */
export function pathsOf(key: Key): readonly (readonly string[])[] {
  const path = key.split('.');
  return path[0] === 'allow' ? [path, ['allow']] : [path];
}

/** What a file says about a key, and under which path; undefined when it says nothing. */
export function readKey<K extends Key>(settings: Settings, key: K): { readonly value: Values[K]; readonly path: readonly string[] } | undefined {
  for (const path of pathsOf(key)) {
    let value: unknown = settings;
    for (const part of path) value = isRecord(value) ? value[part] : undefined;
    // The schema has checked it; `allow` as an object is not a list, so the second path is not for it.
    if (value !== undefined && !(path.length === 1 && isRecord(value)))
      return { value: (path[0] === 'allow' ? expandPresets(value as string[]) : value) as Values[K], path };
  }
  return undefined;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
