/** What GitHub Actions would have made of a commit: suites, check runs, jobs with logs. Scripted by a test; nothing runs. */
import { randomUUID } from 'node:crypto';
import type { Change } from './events.ts';
import { iso, notFound, paginate, Refusal, type Call, type Json, type Reply, type StoredRepository, type StoredSuite, type World } from './world.ts';

export interface SuiteWish {
  readonly sha: string;
  /** Null while it is under way. */
  readonly conclusion: StoredSuite['conclusion'];
  readonly runs: readonly { readonly name: string; readonly conclusion: string | null; readonly log?: string }[];
}

const actions = { id: 15368, slug: 'github-actions', name: 'GitHub Actions' };

/** The suite and, when it is at its end, the event that tells so. GitHub starts no workflow for a commit that says so. */
export async function addSuite(world: World, repository: StoredRepository, wish: SuiteWish): Promise<readonly Change[]> {
  const message = (await repository.git.read('show', '-s', '--format=%B', wish.sha)) ?? '';
  if (/\n\n\n(?:.*\n)*skip-checks: true\s*$/.test(message)) throw new Error('GitHub starts no workflow for this commit: it says skip-checks');
  const runs = wish.runs.map((run) => ({ ...run, id: world.nextId(), log: run.log ?? null }));
  const suite: StoredSuite = { id: world.nextId(), sha: wish.sha, conclusion: wish.conclusion, runs };
  repository.suites.push(suite);
  if (suite.conclusion === null) return [];
  return [{ event: 'check_suite', payload: { action: 'completed', check_suite: suiteBody(world, repository, suite) } }];
}

/** What GitHub tells an App of its own checks, too: its suite is at its end. */
export function endOfOwnSuite({ world, repository }: Pick<Call, 'world' | 'repository'>, check: Json): readonly Change[] {
  if (check.status !== 'completed') return [];
  const suite: StoredSuite = { id: check.check_suite?.id ?? check.id, sha: check.head_sha, conclusion: check.conclusion, runs: [] };
  const { appId: id, slug } = world.app;
  return [{ event: 'check_suite', payload: { action: 'completed', check_suite: { ...suiteBody(world, repository, suite), app: { id, slug, name: slug } } } }];
}

function suiteBody(world: World, repository: StoredRepository, suite: StoredSuite): Json {
  const at = iso(world.now());
  const url = `${world.url}/repos/${repository.fullName}/check-suites/${suite.id}`;
  const place = { id: repository.id, name: repository.name, url: `${world.url}/repos/${repository.fullName}` };
  const pulls = [...repository.pulls.values()].filter(({ open, headSha }) => open && headSha === suite.sha);
  return {
    id: suite.id,
    node_id: `CS_${suite.id}`,
    head_branch: pulls[0]?.headRef ?? 'main',
    head_sha: suite.sha,
    status: suite.conclusion === null ? 'in_progress' : 'completed',
    conclusion: suite.conclusion,
    url,
    before: null,
    after: suite.sha,
    pull_requests: pulls.map((pull) => ({
      url: `${place.url}/pulls/${pull.number}`,
      id: pull.number + 1000,
      number: pull.number,
      head: { ref: pull.headRef, sha: pull.headSha, repo: place },
      base: { ref: pull.baseRef, sha: pull.baseSha, repo: place },
    })),
    app: actions,
    created_at: at,
    updated_at: at,
    latest_check_runs_count: suite.runs.length,
    check_runs_url: `${url}/check-runs`,
  };
}

export async function listSuites(call: Call): Promise<Reply> {
  const sha = await call.repository.git.resolve(call.params['ref'] ?? '');
  if (sha === null) throw new Refusal(422, `No commit found for SHA: ${call.params['ref']}`);
  const found = call.repository.suites.filter((suite) => suite.sha === sha);
  const page = paginate(found, call);
  // An App that could check and never does has a suite, too.
  const idle = {
    ...suiteBody(call.world, call.repository, { id: 1, sha, conclusion: null, runs: [] }),
    status: 'queued',
    app: { id: 99, slug: 'another-app' },
  };
  return {
    ...page,
    body: { total_count: found.length + 1, check_suites: [...page.body.map((suite: StoredSuite) => suiteBody(call.world, call.repository, suite)), idle] },
  };
}

/** Check runs of workflows, the newest of a name first. */
export function runsOf(world: World, repository: StoredRepository, sha: string): Json[] {
  return repository.suites
    .filter((suite) => suite.sha === sha)
    .toReversed()
    .flatMap((suite) => suite.runs.map((run) => ({ suite, run })))
    .map(({ suite, run }) => {
      const url = `${world.url}/repos/${repository.fullName}/check-runs/${run.id}`;
      return {
        id: run.id,
        name: run.name,
        head_sha: sha,
        external_id: '',
        status: run.conclusion === null ? 'in_progress' : 'completed',
        conclusion: run.conclusion,
        url,
        app: actions,
        check_suite: { id: suite.id },
        output: { title: null, summary: null, text: null, annotations_count: 0, annotations_url: `${url}/annotations` },
      };
    });
}

/** An address on another host, good for a minute, that needs no token and must not get one. */
export async function redirectLog({ repository, world, params }: Call): Promise<Reply> {
  const run = repository.suites.flatMap((suite) => suite.runs).find(({ id }) => id === Number(params['job_id']));
  if (!run || run.log === null) throw notFound();
  const key = randomUUID();
  world.logs.set(key, run.log);
  return { status: 302, headers: { location: `${world.url}/job-logs/${key}` } };
}

export function readLog(world: World, key: string, authorization: string | undefined): Reply {
  const log = world.logs.get(key);
  if (log === undefined || authorization !== undefined) throw notFound();
  world.logs.delete(key);
  return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: Buffer.from(log) };
}
