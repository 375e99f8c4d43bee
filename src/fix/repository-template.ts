/**
 * Repository templates: what clone and setup of a default branch leave on the disk, made once in a VM of its own and kept,
 * so that the next run of that repository is ready to edit at once.
 *
 * What is kept never depends on what an agent did: its VM is not the one whose disk is kept. It is used for the agent's
 * workspace only; a proof always begins with nothing. Whatever goes wrong with it costs time, never a run.
 */
import { createHash } from 'node:crypto';
import type { Snapshot } from '../git/mirror.ts';
import { asFixError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Layer, LayerName, Layers, Provider } from '../sandbox/sandbox.ts';
import { createMaking, Notes } from './make-template.ts';
import type { MakingOptions } from './make-template.ts';
import { lockfilesOf, mustSetUpAgain } from './setup-inputs.ts';
import { openWorkspace } from './workspace.ts';
import type { KeptSetup, Workspace, WorkspaceOptions } from './workspace.ts';

/** Whose template: no other installation or repository ever sees it. */
export interface Home {
  /** Ids are unique on one GitHub only. */
  readonly server: string;
  readonly installation: number;
  readonly repository: number;
}

export interface Opened {
  readonly workspace: Workspace;
  /** Has the next run find this setup; to be called when this one has no VM any more. Null when there is nothing to be made. */
  readonly refresh: (() => void) | null;
}

export interface RepositoryTemplates {
  /** A workspace for the agent. The base has to be in the history of the default branch. Throws what `openWorkspace` throws. */
  open(options: WorkspaceOptions, home: Home): Promise<Opened>;
  /** Resolves when nothing is being made. */
  idle(): Promise<void>;
  /** Ends what is being made. */
  close(): Promise<void>;
}

export interface TemplateOptions {
  readonly provider: Provider;
  readonly layers: Layers;
  /** Hears of what the next run of a repository will begin with. */
  readonly onKept?: MakingOptions['onKept'];
  /** A workspace that is ready sooner without a template needs none. Default: ten seconds, for a VM boots cold from it. */
  readonly worthMs?: number;
  /** Memory that this host can still give, in MiB. */
  readonly availableMib?: () => number;
  readonly log: Log;
}

const availableNow = (): number => Math.floor(process.availableMemory() / 2 ** 20);

/** Null where no disk can be kept. */
export function createRepositoryTemplates({
  worthMs = 10_000,
  availableMib = availableNow,
  onKept = () => {},
  ...options
}: TemplateOptions): RepositoryTemplates | null {
  const { provider, layers, log } = options;
  const maker = provider.layers;
  if (maker === undefined) return null;
  const making = createMaking({ provider, maker, layers, onKept, availableMib, log });
  const drop = async (name: LayerName, err: unknown): Promise<void> => {
    const { code, details } = asFixError(err);
    // A host so busy that a VM is late says nothing about the disk that it was to begin with.
    const isItsFault = ofTemplate.has(code) && details['late'] !== true;
    log.warn({ err, ...name }, isItsFault ? 'a repository template does not work, and is removed' : 'a run could not begin with its repository template');
    if (isItsFault) await layers.remove(name);
  };
  return {
    async open(options, home) {
      const startedAt = performance.now();
      const { snapshot, report } = options;
      const makerKey = await maker.key({ size: options.plan.sandbox, ...(options.image && { image: options.image }) });
      if (makerKey === null) return { workspace: await openWorkspace(options), refresh: null };
      const name: LayerName = { place: await placeOf(options, home, makerKey), commit: snapshot.sha };
      const found = await findKept(layers, { name, home, options }).catch((err: unknown) => {
        options.signal.throwIfAborted();
        log.warn({ err, ...name }, 'repository templates could not be looked through');
        return null;
      });
      const workspace = found && (await openKept(options, found, (err) => drop({ ...name, commit: found.kept.commit }, err)));
      const later = (readyMs: number) => () => making.later(name, options, { ...home, commit: snapshot.sha, readyMs });
      if (!found || !workspace) {
        const whole = await openWorkspace(options);
        const readyMs = Math.round(performance.now() - startedAt);
        return { workspace: whole, refresh: readyMs < worthMs ? null : later(readyMs) };
      }
      const { commit, again } = found.kept;
      report.template = { commit, again, readyMs: Math.round(performance.now() - startedAt), wholeMs: found.readyMs };
      return { workspace, refresh: again ? later(found.readyMs) : null };
    },
    idle: () => making.idle(),
    close: () => making.close(),
  };
}

/** A full disk, a registry that is down, a host without control groups: whoever runs in that hour keeps its template. */
const ofTemplate: ReadonlySet<ErrorCode> = new Set(['sandbox_boot', 'sandbox_thaw', 'clone_failed']);

/** Null when it does not work; when that is its own fault, it is removed. */
async function openKept(options: WorkspaceOptions, { kept, isWhole }: Found, drop: (error: unknown) => Promise<void>): Promise<Workspace | null> {
  const notes = options.report.notes.length;
  try {
    const workspace = await openWorkspace(options, kept);
    // Read beside the boot: nobody has worked in that VM yet.
    if (await isWhole) return workspace;
    await workspace[Symbol.asyncDispose]();
  } catch (error) {
    options.signal.throwIfAborted();
    await drop(error);
  }
  // What did not work there is tried anew, and that is what people read of.
  options.report.notes.splice(notes);
  return null;
}

interface Found extends Pick<Layer, 'isWhole'> {
  readonly kept: KeptSetup;
  readonly readyMs: number;
}

interface Wanted {
  readonly name: LayerName;
  readonly home: Home;
  readonly options: WorkspaceOptions;
}

/** That of the base itself, else the newest of what came before it. */
async function findKept(layers: Layers, { name, home, options }: Wanted): Promise<Found | null> {
  const { snapshot, signal } = options;
  const commits = await layers.list(name.place);
  for (const commit of [...commits.filter((sha) => sha === snapshot.sha), ...commits.filter((sha) => sha !== snapshot.sha)]) {
    const before = await snapshot.ancestor(commit, signal);
    const layer = before && (await layers.take({ ...name, commit }, signal));
    const notes = Notes.safeParse(layer?.notes);
    if (!before || !layer || !notes.success) continue;
    const { node, readyMs, ...of } = notes.data;
    if (of.server !== home.server || of.installation !== home.installation || of.repository !== home.repository || of.commit !== commit) continue;
    return { kept: { file: layer.file, commit, node, again: await mustRunAgain(options, before) }, readyMs, isWhole: layer.isWhole };
  }
  return null;
}

async function mustRunAgain({ plan, snapshot, signal }: WorkspaceOptions, before: Snapshot): Promise<boolean> {
  if (before.sha === snapshot.sha) return false;
  const packageJson = (await snapshot.readFile('package.json', maxManifestBytes, signal))?.toString('utf8') ?? null;
  return mustSetUpAgain({ setup: plan.setup, before: await before.tree(signal), after: await snapshot.tree(signal), packageJson });
}

const maxManifestBytes = 2 ** 20;

/** Everything that decides what setup does, but for the files of the commit that are no lockfiles. */
async function placeOf({ plan, surroundings, snapshot, limits, signal }: WorkspaceOptions, home: Home, makerKey: string): Promise<string> {
  const parts = [
    ['version', 1],
    ['home', home.server, home.installation, home.repository],
    ['maker', makerKey],
    ['setup', plan.setup, plan.node.install, plan.environment, plan.allow.setup],
    ['surroundings', surroundings.guestEnv, surroundings.caPem],
    // How much of the history is there.
    ['ancestors', limits.ancestors],
    ['lockfiles', lockfilesOf(await snapshot.tree(signal))],
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 24);
}
