/** What `bench -- sandbox` can measure: a provider as Mayfly uses it, and the same without its saved memory. */
import { join } from 'node:path';
import { pino } from 'pino';
import type { Config } from '../../src/config.ts';
import type { ProviderName } from '../../src/job.ts';
import type { Log } from '../../src/log.ts';
import { vmOptions } from '../../src/run-tools.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import { createPool } from '../../src/sandbox/pool.ts';
import type { Pool, PoolOptions } from '../../src/sandbox/pool.ts';
import type { Provider } from '../../src/sandbox/sandbox.ts';
import { buildTemplate } from '../../src/sandbox/template.ts';
import type { Template } from '../../src/sandbox/vm.ts';

export interface Candidate {
  /** What a run gets: from saved memory where the provider has it. */
  readonly provider: Provider;
  /** From power-on; null when that is all there is. */
  readonly cold: Provider | null;
  /** The same as `provider`, with nothing measured. */
  readonly silent: Provider;
  readonly vm: PoolOptions['vm'];
  /** A pool of one of them; whoever opens it drains it. */
  readonly openPool: () => Pool;
  /** The steps of the boots of `provider` so far. */
  readonly steps: readonly Steps[];
  /** What the alternatives are given, so that all run the same kernel and files. */
  readonly template: Template;
}

export interface CandidateOptions {
  readonly name: ProviderName;
  readonly config: Config;
  readonly stateDir: string;
  readonly signal: AbortSignal;
}

/** Each step of one boot, as milliseconds since the boot began. */
export type Steps = Readonly<Record<string, number>>;

export async function openCandidate({ name, config, stateDir, signal }: CandidateOptions): Promise<Candidate> {
  const steps: Steps[] = [];
  const options = { ...vmOptions(config, createStepLog(steps)), stateDir };
  const template = await buildTemplate(options, { signal, onProgress: (line) => void process.stderr.write(`template: ${line}\n`) });
  const silent = { ...options, log: pino({ level: 'silent' }) };
  const create = name === 'oci' ? createOciProvider : createQemuProvider;
  const { memoryMib, vcpus: cpus, diskGib } = options;
  const vm = { cpus, memoryMib, diskGib };
  const openPool = (): Pool => createPool({ provider: create(silent), size: 1, vm, log: silent.log });
  const cold = name === 'oci' ? null : createQemuProvider({ ...silent, coldBoot: true });
  return { provider: create(options), cold, silent: create(silent), vm, openPool, steps, template };
}

/** Where the VMs of a run live: gone, with all that is in it, when the run was clean. */
export const vmsOf = (stateDir: string): string => join(stateDir, 'vms');

/** A log whose readers are we: the boot's own line about its steps. */
function createStepLog(taken: Steps[]): Log {
  const write = (line: string): void => {
    const record = JSON.parse(line) as Record<string, unknown>;
    if (record['msg'] !== 'VM is ready') return;
    const steps = Object.entries(record).filter((entry): entry is [string, number] => entry[0].endsWith('Ms') && typeof entry[1] === 'number');
    taken.push(Object.fromEntries(steps));
  };
  return pino({ level: 'debug' }, { write });
}
