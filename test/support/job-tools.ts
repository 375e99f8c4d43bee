/** What a worker has once, for runs whose VMs are folders of this host. */
import { pino } from 'pino';
import type { Memory } from '../../src/bot/memory.ts';
import type { JobTools } from '../../src/bot/work.ts';
import { createMirrors } from '../../src/git/create-mirrors.ts';
import type { GitHub } from '../../src/github/github.ts';
import { createSecrets } from '../../src/log.ts';
import type { Models } from '../../src/model/model.ts';
import { silentOperator } from '../../src/settings/operator.ts';
import { createHostProvider } from './host-provider.ts';
import { alone } from './in-turn.ts';
import { createMemoryVault } from './memory.ts';

export interface JobToolsParts {
  /** For mirrors. */
  readonly directory: string;
  readonly github: GitHub;
  readonly models: Models;
  readonly memory: Memory;
  readonly vault?: JobTools['vault'];
  readonly onBoot?: (id: string) => void;
}

export function createJobTools({ directory, github, models, memory, vault = createMemoryVault(), onBoot }: JobToolsParts): JobTools {
  return {
    providerReason: 'the test says so',
    isolation: 'emulation',
    operator: silentOperator,
    provider: createHostProvider(onBoot),
    models,
    credentialsOf: () => Promise.resolve([]),
    openGateway: () => ({ authority: () => Promise.resolve(''), accept: () => {}, enter: () => {}, ledger: [], unlisted: [], close: () => Promise.resolve() }),
    surroundings: { caPem: '', guestEnv: {}, registryHosts: [], install: { path: '', argv: [] } },
    guestNodeVersion: '26.10.0',
    guestImages: { prepare: () => Promise.reject(new Error('no run of this test names an image')) },
    guestPackages: [],
    openTranscript: () => Promise.resolve({ file: '', write: () => Promise.resolve() }),
    limits: {
      agent: { steps: 20, costUsd: 5, tokens: 100_000, commandTimeoutMs: 20_000, softTimeMs: 60_000, hardTimeMs: 90_000 },
      patch: { maxFiles: 100, maxBytes: 2 ** 20 },
      setupTimeoutMs: 20_000,
      proofTimeoutMs: 60_000,
      proofRounds: 2,
      ancestors: 50,
    },
    secrets: createSecrets(),
    repositoryTemplates: null,
    github,
    mirrors: createMirrors({ directory, environment: { PATH: '/usr/bin:/bin' }, log: pino({ level: 'silent' }) }),
    memory,
    vault,
    inTurn: alone,
    onEvent: () => {},
    onReport: () => {},
  };
}
