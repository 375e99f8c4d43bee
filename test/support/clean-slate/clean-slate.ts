/**
 * Runs that leave words wherever they can write, one after the other and in turn: of two repositories, in a VM that is
 * booted when it is asked for and in one that stood ready. Each looks for the words of all before it, in its guest and in
 * what this host has of its VM, before it writes its own.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pino } from 'pino';
import { createReport, createTimer } from '../../../src/fix/report.ts';
import { openWorkspace } from '../../../src/fix/workspace.ts';
import type { Workspace } from '../../../src/fix/workspace.ts';
import { createGateway } from '../../../src/gateway/create-gateway.ts';
import { readSurroundings } from '../../../src/gateway/surroundings.ts';
import { createMirrors } from '../../../src/git/create-mirrors.ts';
import type { HostOptions } from '../../../src/sandbox/claim.ts';
import { createPool } from '../../../src/sandbox/pool.ts';
import type { PoolOptions } from '../../../src/sandbox/pool.ts';
import type { Provider } from '../../../src/sandbox/sandbox.ts';
import { createGitRepository } from '../git-repository.ts';
import { barePlan } from '../plan.ts';
import { searchDirectory, searchVm } from '../search-vm.ts';
import type { VmFindings } from '../search-vm.ts';
import { clockErrorMs, plant, searchInside, wordEnd } from './canaries.ts';

export interface CleanSlateOptions {
  readonly provider: Provider;
  readonly vm: PoolOptions['vm'];
  readonly stateDir: HostOptions['stateDir'];
  readonly signal: AbortSignal;
}

export interface TurnOptions {
  /** Looks for its own words, too: what does not find these finds nothing. */
  readonly guard?: boolean;
}

export interface Turn {
  readonly repository: string;
  readonly pooled: boolean;
  /** Words that were in this VM before anything was written in it, with where they were. None but those of its own repository belong there. */
  readonly before: readonly string[];
  readonly clockErrorMs: number;
  /** Places that took a word. */
  readonly planted: readonly string[];
  /** Its own words, as places; null unless it is a guard. */
  readonly own: { readonly inside: readonly string[]; readonly disk: readonly string[]; readonly memory: readonly string[] } | null;
  /** What was still there of it, and words in what stays on this host. */
  readonly left: readonly string[];
}

export interface CleanSlate extends AsyncDisposable {
  turn(options?: TurnOptions): Promise<Turn>;
}

/** Begins with the VMs of the pool. Needs root. */
export function createCleanSlate({ provider, vm, stateDir, signal }: CleanSlateOptions): CleanSlate {
  const parts = new AsyncDisposableStack();
  const log = pino({ level: 'silent' });
  const series = `canary-${randomBytes(4).toString('hex')}-`;
  const repositories = ['a', 'b'].map((name) => {
    const repository = parts.use(createGitRepository());
    repository.commit({ 'README.md': `${wordOf(series, name)}\n`, 'package.json': '{}\n' });
    return { name, directory: repository.directory };
  });
  const pool = createPool({ provider, size: 1, vm, log });
  parts.defer(async () => void (await pool.drain()));
  const mirrorsDirectory = join(stateDir, 'mirrors');
  const mirrors = createMirrors({ directory: mirrorsDirectory, log });
  let turns = 0;

  async function open(repository: { readonly directory: string }, pooled: boolean): Promise<Workspace> {
    if (pooled) await pool.full();
    const report = createReport(`clean-${randomBytes(6).toString('hex')}`);
    return await openWorkspace({
      id: `${report.runId}-agent`,
      provider: pooled ? pool : provider,
      openGateway: (phase, allow) => createGateway({ phase, allow, internal: [], upstreamProxy: null, settingsKey: 'allow', log }),
      surroundings: await readSurroundings({ extraCaFiles: [], npmRegistry: null }),
      guestNodeVersion: process.versions.node,
      image: null,
      snapshot: await mirrors.fetch({ url: repository.directory, token: null, ref: null }, signal),
      plan: { ...barePlan, sandbox: { ...vm, root: true, image: null }, setup: ['sudo -n touch /opt/set-up'] },
      limits: { setupTimeoutMs: 60_000, ancestors: 0 },
      report,
      timed: createTimer({ report, onEvent: () => {} }),
      signal,
    });
  }

  const searchHost = (id: string, pattern: string): Promise<VmFindings> => searchVm(id, join(stateDir, 'vms', id), { pattern });

  async function turn({ guard = false }: TurnOptions = {}): Promise<Turn> {
    const number = turns++;
    const repository = repositories[Math.floor(number / 2) % 2] ?? { name: '', directory: '' };
    const mark = `${series}turn-${number}`;
    await using workspace = await open(repository, number % 2 === 1);
    const { sandbox } = workspace;
    // From outside first: what looks inside brings the word that it looks for.
    const outside = await searchHost(sandbox.id, `${series}${wordEnd}`);
    const inside = await searchInside(sandbox, series);
    const before = [
      ...outside.disk.map((word) => `disk: ${word}`),
      ...outside.memory.map((word) => `memory: ${word}`),
      ...inside.map((word) => `inside: ${word}`),
    ];
    const clock = await clockErrorMs(sandbox);
    const planted = await plant(sandbox, mark);
    const own = guard ? { inside: placesOf(await searchInside(sandbox, `${mark}-`)), ...(await ownWords(sandbox.id, mark)) } : null;
    const leftovers = await sandbox.dispose();
    const left = [...leftovers, ...(await searchDirectory(stateDir, { pattern: `${series}turn-${number}${wordEnd}` }))];
    return { repository: repository.name, pooled: sandbox.info.pooled, before, clockErrorMs: clock, planted, own, left };
  }

  async function ownWords(id: string, mark: string): Promise<{ disk: readonly string[]; memory: readonly string[] }> {
    const { disk, memory } = await searchHost(id, `${mark}-${wordEnd}`);
    return { disk: placesOf(disk), memory: placesOf(memory) };
  }

  return { turn, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

const wordOf = (series: string, repository: string): string => `${series}repository-${repository}Z`;

const placesOf = (words: readonly string[]): readonly string[] => words.map((word) => /turn-\d+-(.*?)Z?$/.exec(word)?.[1] ?? word);

/** Words of `before` that do not belong to that turn's own repository. */
export function foreignWords({ before, repository }: Pick<Turn, 'before' | 'repository'>): readonly string[] {
  return before.filter((found) => !found.endsWith(`repository-${repository}Z`));
}
