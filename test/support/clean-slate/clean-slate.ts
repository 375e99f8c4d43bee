/**
 * Runs that leave words wherever they can write, one after the other and in turn: of two repositories, in a VM that is
 * booted when it is asked for, in one that stood ready, and in one that begins with the repository template that was made
 * after the run before. Each looks for the words of all before it, in its guest and in
 * what this host has of its VM and template, before it writes its own.
 */
import { randomBytes } from 'node:crypto';
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { createReport, createTimer } from '../../../src/fix/report.ts';
import { createRepositoryTemplates } from '../../../src/fix/repository-template.ts';
import type { Home, Opened } from '../../../src/fix/repository-template.ts';
import { openWorkspace } from '../../../src/fix/workspace.ts';
import type { WorkspaceOptions } from '../../../src/fix/workspace.ts';
import { createGateway } from '../../../src/gateway/create-gateway.ts';
import { readSurroundings } from '../../../src/gateway/surroundings.ts';
import { createMirrors } from '../../../src/git/create-mirrors.ts';
import type { HostOptions } from '../../../src/sandbox/claim.ts';
import { createLayers } from '../../../src/sandbox/layers.ts';
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

/** How a VM comes to be. After a new one, the repository's template is made anew. */
export type Start = 'new' | 'ready' | 'kept';
const starts: readonly Start[] = ['new', 'ready', 'kept'];

/** Of the turn with that number. */
export const startOf = (number: number): Start => starts[number % starts.length] ?? 'new';

export interface TurnOptions {
  /** Looks for its own words, too: what does not find these finds nothing. */
  readonly guard?: boolean;
}

export interface Turn {
  readonly repository: string;
  readonly start: Start;
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

interface Repository {
  readonly name: string;
  readonly directory: string;
  readonly home: Home;
}

export interface CleanSlate extends AsyncDisposable {
  turn(options?: TurnOptions): Promise<Turn>;
}

/** Begins with the VMs of the pool. Needs root. */
export function createCleanSlate({ provider, vm, stateDir, signal }: CleanSlateOptions): CleanSlate {
  const parts = new AsyncDisposableStack();
  const log = pino({ level: 'silent' });
  const series = `canary-${randomBytes(4).toString('hex')}-`;
  const repositories = ['a', 'b'].map((name, index) => {
    const repository = parts.use(createGitRepository());
    repository.commit({ 'README.md': `${wordOf(series, name)}\n`, 'package.json': '{}\n' });
    return { name, directory: repository.directory, home: { server: 'https://github.test', installation: 1, repository: index } };
  });
  const pool = createPool({ provider, size: 1, vm, log });
  parts.defer(async () => void (await pool.drain()));
  const mirrorsDirectory = join(stateDir, 'mirrors');
  const mirrors = createMirrors({ directory: mirrorsDirectory, log });
  const layersDirectory = join(stateDir, 'layers');
  const layers = createLayers({ directory: layersDirectory, maxBytes: 2 ** 34, reserveBytes: 0, log });
  const templates = createRepositoryTemplates({ provider, layers, worthMs: 0, log });
  parts.defer(async () => await templates?.close());
  let turns = 0;

  async function open(repository: Repository, start: Start): Promise<Opened & { readonly isKept: boolean }> {
    if (start === 'ready') await pool.full();
    const options = await describe(repository, start === 'ready' ? pool : provider);
    if (start === 'ready' || templates === null) return { workspace: await openWorkspace(options), refresh: null, isKept: false };
    if (start === 'new') for (const { folder } of await layersOf(repository)) await rm(join(layersDirectory, folder), { recursive: true });
    const opened = await templates.open(options, repository.home);
    return { ...opened, isKept: options.report.template !== null };
  }

  /** By what was noted down of them. */
  async function layersOf({ home }: Repository): Promise<readonly { readonly folder: string }[]> {
    const folders = await readdir(layersDirectory).catch(() => []);
    const noted = await Promise.all(
      folders.map(async (folder) => {
        const { notes } = JSON.parse(await readFile(join(layersDirectory, folder, 'manifest.json'), 'utf8')) as { notes: { repository: number } };
        return notes.repository === home.repository ? [{ folder }] : [];
      }),
    );
    return noted.flat();
  }

  async function describe(repository: Repository, boots: Provider): Promise<WorkspaceOptions> {
    const report = createReport(`clean-${randomBytes(6).toString('hex')}`);
    return {
      id: `${report.runId}-agent`,
      provider: boots,
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
    };
  }

  const searchHost = (id: string, pattern: string): Promise<VmFindings> => searchVm(id, join(stateDir, 'vms', id), { pattern });

  async function turn({ guard = false }: TurnOptions = {}): Promise<Turn> {
    const number = turns++;
    const repository = repositories[Math.floor(number / starts.length) % 2];
    if (repository === undefined) throw new Error('there are two repositories');
    const mark = `${series}turn-${number}`;
    const start = startOf(number);
    const { workspace, refresh, isKept } = await open(repository, start);
    await using _workspace = workspace;
    const { sandbox } = workspace;
    const layer = isKept ? await searchLayers(repository) : [];
    // From outside first: what looks inside brings the word that it looks for.
    const outside = await searchHost(sandbox.id, `${series}${wordEnd}`);
    const inside = await searchInside(sandbox, series);
    const before = [
      ...layer.map((word) => `layer: ${word}`),
      ...outside.disk.map((word) => `disk: ${word}`),
      ...outside.memory.map((word) => `memory: ${word}`),
      ...inside.map((word) => `inside: ${word}`),
    ];
    const clock = await clockErrorMs(sandbox);
    const planted = await plant(sandbox, mark);
    const own = guard ? { inside: placesOf(await searchInside(sandbox, `${mark}-`)), ...(await ownWords(sandbox.id, mark)) } : null;
    const leftovers = await sandbox.dispose();
    refresh?.();
    await templates?.idle();
    const left = [...leftovers, ...(await searchDirectory(stateDir, { pattern: `${series}turn-${number}${wordEnd}` }))];
    return { repository: repository.name, start: isKept ? 'kept' : sandbox.info.pooled ? 'ready' : 'new', before, clockErrorMs: clock, planted, own, left };
  }

  async function searchLayers(repository: Repository): Promise<readonly string[]> {
    const found = await Promise.all(
      (await layersOf(repository)).map(({ folder }) => searchDirectory(join(layersDirectory, folder), { pattern: `${series}${wordEnd}` })),
    );
    return found.flat();
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
