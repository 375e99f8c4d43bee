/**
 * `bench -- second`: what the second run of a repository is spared. A case of the eval lies in the stand-in GitHub, web and
 * worker are processes of their own; an issue is labelled, and when its run is over and its repository template is made,
 * another one. The time begins with the label and ends when the agent can edit.
 */
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Config } from '../../src/config.ts';
import { FixError } from '../../src/errors.ts';
import type { Snapshot } from '../../src/git/mirror.ts';
import type { ProviderName } from '../../src/job.ts';
import { readCases } from '../eval/case.ts';
import { prepareCase } from '../eval/prepare.ts';
import type { SeedFiles } from '../support/github/seed.ts';
import { startInstallation } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import type { LogLine, MayflyProcess } from '../support/mayfly-process.ts';
import { removeLayers } from '../support/remove-layers.ts';
import type { ScriptedReply } from '../support/scripted-endpoint.ts';
import { countFailure, createSeries } from './series.ts';
import type { Series } from './series.ts';

export interface SecondBench {
  readonly provider: ProviderName;
  /** A case of the eval, as a JSON file, and the folder with a clone of its repository. */
  readonly caseFile: string;
  readonly repos: string;
  /** What the model says, in each run anew. Default: that there is nothing to do, which is enough to have a template made. */
  readonly replies?: readonly ScriptedReply[];
  /** Runs that may begin with the template, after the one that may not. */
  readonly n: number;
  readonly config: Config;
  /** Ours, for the case. */
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export interface SecondFigures {
  readonly first: readonly Series[];
  readonly later: readonly Series[];
  /** What people read of each run: the comments on its issue, and its pull request. */
  readonly told: readonly string[];
}

/** GitHub asks for three seconds between comments. */
const betweenMs = 6000;

const spans = {
  'label to boot': 'the issue is labelled -> its run asks for a VM: webhook, queue, what is asked of GitHub and written there, fetch',
  boot: 'of the VM of the agent',
  clone: 'of the repository into it, or of what is newer',
  setup: 'its commands, or none',
  'ready to edit': 'the issue is labelled -> the agent can edit',
  'tests on the base': 'what the agent is told of them',
} as const;

const nothingToDo: readonly ScriptedReply[] = [{ tools: [{ name: 'submit', input: { summary: 'There is nothing to do.', files: [], noChange: true } }] }];

export async function benchSecond({ n, onProgress, ...bench }: SecondBench): Promise<SecondFigures> {
  const { config, provider, replies = nothingToDo } = bench;
  const { of, repository } = await readRepository(bench);
  const reach = { npm_config_registry: config.npm_config_registry, HTTPS_PROXY: config.HTTPS_PROXY, NODE_EXTRA_CA_CERTS: config.NODE_EXTRA_CA_CERTS };
  const known = Object.fromEntries(Object.entries(reach).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
  const kept = {
    MAYFLY_CACHE_DIR: config.MAYFLY_CACHE_DIR,
    MAYFLY_REPOSITORY_TEMPLATES_GIB: String(config.MAYFLY_REPOSITORY_TEMPLATES_GIB),
    MAYFLY_POOL_SIZE: String(config.MAYFLY_POOL_SIZE),
  };
  const environment = { ...known, ...kept, MAYFLY_PROVIDER: provider };
  await using installation = await startInstallation({ settings: environment, replies: () => replies, repository });
  await using _ = { [Symbol.asyncDispose]: () => removeLayers(config.MAYFLY_CACHE_DIR, installation.standIn) };
  await installation.startWeb();
  const worker = await installation.startWorker();
  const [first, later] = [0, 1].map(() => Object.entries(spans).map(([name, span]) => createSeries(name, 'ms', span)));
  const told: string[] = [];
  for (let number = 0; number <= n; number += 1) {
    bench.signal.throwIfAborted();
    onProgress(number === 0 ? 'first run' : `run ${number} of ${n} with a template`);
    const labelledAt = Date.now();
    const issue = await installation.label({ title: number === 0 ? of.issue.title : `${of.issue.title} (${number + 1})`, body: of.issue.body });
    const { runId, template } = await worker.logged((line) => line.msg === 'run finished' && line.issue === issue);
    const series = number === 0 ? first : later;
    const find = (name: string): Series | undefined => series?.find((one) => one.name === name);
    const ready = find('ready to edit');
    if (number > 0 && template === null && ready) countFailure(ready, `no template: ${lastWarningOf(worker, runId)}`);
    else for (const [name, ms] of stagesOf(worker, { runId, labelledAt })) find(name)?.samples.push(ms);
    told.push(...(await readTold(installation, issue)));
    if (number === 0) {
      onProgress('template');
      await worker.logged(({ msg }) => msg === 'repository template is ready' || msg === 'repository template could not be made');
    }
    // What the run before has just written to GitHub would be part of the next one's time.
    await setTimeout(betweenMs, undefined, { signal: bench.signal });
  }
  return { first: first ?? [], later: later ?? [], told };
}

/** The case without its future; how to install and test it is in its settings, as a maintainer would write it. */
async function readRepository({ caseFile, repos, directory, config, signal }: Pick<SecondBench, 'caseFile' | 'repos' | 'directory' | 'config' | 'signal'>) {
  const [of] = (await readCases(dirname(caseFile), [])).filter(({ id }) => caseFile.endsWith(`/${id}.json`));
  if (of === undefined) throw new FixError('usage', { details: { reason: `${caseFile} is no case whose id is its name` } });
  const { snapshot } = await prepareCase(of, { repos, directory, environment: config.gitEnvironment, signal });
  const [owner = '', name = ''] = of.repository.split('/');
  const settings = `setup:\n  - ${JSON.stringify(of.install)}\ntest: ${JSON.stringify(of.test)}\n`;
  return { of, repository: { owner, name, private: false, files: { ...(await readTree(snapshot, signal)), '.github/mayfly.yml': settings } } };
}

async function readTree(snapshot: Snapshot, signal: AbortSignal): Promise<SeedFiles> {
  const files: Record<string, { content: Uint8Array; mode: '100644' | '100755' | '120000' }> = {};
  for (const [path, { mode }] of await snapshot.tree(signal)) {
    const content = mode === '100644' || mode === '100755' || mode === '120000' ? await snapshot.readFile(path, 2 ** 24, signal) : null;
    if (content !== null) files[path] = { content, mode: mode as '100644' };
  }
  return files;
}

/** From the log: what the agent's VM did comes before that of the proof. */
function* stagesOf(worker: MayflyProcess, { runId, labelledAt }: { runId: string | undefined; labelledAt: number }): Generator<[keyof typeof spans, number]> {
  const ended = worker.lines.flatMap((text): LogLine[] => (text.includes('"phase ended"') ? [JSON.parse(text) as LogLine] : []));
  const find = (phase: string): LogLine | undefined => ended.find((line) => line.runId === runId && line.phase === phase);
  const boot = find('boot');
  if (boot) yield ['label to boot', (boot.time ?? 0) - (boot.durationMs ?? 0) - labelledAt];
  for (const phase of ['boot', 'clone', 'setup'] as const) yield [phase, find(phase)?.durationMs ?? 0];
  const ready = find('setup') ?? find('clone');
  if (ready) yield ['ready to edit', (ready.time ?? 0) - labelledAt];
  const tests = find('tests');
  if (tests) yield ['tests on the base', tests.durationMs ?? 0];
}

/** Why it had to begin with nothing. */
function lastWarningOf(worker: MayflyProcess, runId: string | undefined): string {
  const lines = worker.lines.flatMap((text): LogLine[] =>
    text.includes(`"runId":"${runId}"`) && text.includes('"level":40') ? [JSON.parse(text) as LogLine] : [],
  );
  return lines.at(-1)?.msg ?? 'nothing was logged';
}

async function readTold({ repository }: Installation, issue: number): Promise<readonly string[]> {
  const comments = (await repository.comments(issue)).map(({ body }) => String(body));
  const pulls = (await repository.pullRequests()).filter(({ head }) => head.ref === `mayfly/issue-${issue}`).map(({ body }) => String(body));
  return [...comments, ...pulls];
}
