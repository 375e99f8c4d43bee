/** An operator who has secrets of every kind, and the search for them in VMs: of each run, and of those that wait. */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findProcesses } from '../../src/sandbox/claim.ts';
import type { StandInGitHub } from './github/stand-in.ts';
import type { Installation } from './installation.ts';
import { searchVm } from './search-vm.ts';
import { formsOf } from './secret-forms.ts';

/** What the operator knows and nobody else may. A new kind of secret is a new line here. */
export const canaries = {
  ANTHROPIC_API_KEY: 'model-canary-5cf1d3a2',
  OPENAI_API_KEY: 'openai-canary-6d20b9e1',
  GOOGLE_GENERATIVE_AI_API_KEY: 'google-canary-2a83fc07',
  MAYFLY_COMPATIBLE_API_KEY: 'compatible-canary-e5914b6d',
  MAYFLY_JOB_KEY: 'job-canary-0b7e9c4fd21a6e83b5d7c9',
  NPM_TOKEN: 'npm-canary-91d2b6',
  NODE_AUTH_TOKEN: 'node-canary-1c5e77',
  'npm_config_//registry.example/:_authToken': 'registry-canary-77aa31',
  npm_config_registry: 'https://user:password-canary-4b1d@registry.example/',
};

/** What opens the operator's own network: the value in MAYFLY_CREDENTIALS_FILE, the passwords in HTTPS_PROXY and MAYFLY_IMAGE_AUTH_FILE. */
export const ofNetwork = { token: 'credential-canary-3f7a90d1', proxyPassword: 'proxy-canary-8e21c5', imagePassword: 'image-canary-b04d7e92' };

/** Known before the run, each long enough to be there by chance never. */
export function secretsOf({ app }: StandInGitHub): string[] {
  return [
    ...Object.values({ ...canaries, ...ofNetwork }).flatMap((value) => /[a-z]+-canary-\w+/.exec(value)?.[0] ?? []),
    app.webhookSecret,
    // As it stands in the file.
    btoa(`mayfly:${ofNetwork.imagePassword}`),
    ...app.privateKey.split('\n').slice(1, 3),
  ];
}

/** In every form; of a long token its end, for all of them begin alike. */
export const formsOfAll = (standIn: StandInGitHub): string[] =>
  [...secretsOf(standIn), ...standIn.secretTokens().map((token) => token.slice(-48))].flatMap((secret) => formsOf(secret));

interface VmSearch {
  readonly vm: string;
  readonly found: readonly string[];
  readonly memoryMib: number;
}

/** Disk and memory of one VM of a run, as they are now. */
export async function searchNow({ stateDir, standIn }: Installation, vm: string): Promise<VmSearch> {
  const { disk, memory, memoryMib } = await searchVm(vm, join(stateDir, 'vms', vm), { words: formsOfAll(standIn) });
  return { vm, found: [...disk, ...memory], memoryMib };
}

/** The same once it is there and has something in it. */
export async function searchWhenUp(installation: Installation, vm: string, signal: AbortSignal): Promise<VmSearch> {
  while (!signal.aborted && (await findProcesses(vm)).length === 0) await pause(50);
  for (;;) {
    const search = await searchNow(installation, vm);
    if (search.memoryMib > leastMib || signal.aborted) return search;
  }
}

/** The smallest guest has more in memory. */
export const leastMib = 20;
