/** A pull request of ours on the stand-in GitHub, its real webhooks into our own receiver, and what intake makes of them. */
import { pino } from 'pino';
import { afterEach, beforeEach, describe } from 'vitest';
import { commitMessage } from '../../src/bot/pull-texts.ts';
import { takeInEvent } from '../../src/bot/take-in-event.ts';
import type { FixJob, PullRequest } from '../../src/job.ts';
import { silentOperator } from '../../src/settings/operator.ts';
import { IntakeEvent } from '../../src/webhook/event.ts';
import { createReceiver } from '../../src/webhook/receive.ts';
import { alone } from './in-turn.ts';
import { aPublishRequest, openPort } from './github-port.ts';
import { failOnViolations } from './github/clients.ts';
import { whyNoSshd } from './host-sshd.ts';
import { createIssueWorld } from './issue-world.ts';
import type { IssueWorld } from './issue-world.ts';

export interface FollowWorld extends IssueWorld {
  /** The pull request that was opened for the issue. */
  readonly pull: number;
  readonly branch: string;
  /** Its head when it was opened. */
  readonly headSha: string;
  /** On the default branch. */
  settings(followUps: Readonly<Record<string, unknown>>): Promise<void>;
  /** What came back to be taken in later, with its delay. */
  readonly delayed: { readonly event: IntakeEvent; readonly delayMs: number }[];
  /** Runs that were queued, oldest first. */
  readonly queued: FixJob[];
  /** When something is in it, a run works here, and hears what is said to it. */
  readonly atWork: 'working'[];
  /** Waits for the deliveries so far, takes them in, and returns the runs that this queued. */
  takeIn(): Promise<readonly FixJob[]>;
  /** Takes one event in, as if it had been delivered. */
  take(event: Parameters<typeof takeInEvent>[0]): Promise<void>;
  /** The same for what was put off. */
  takeInDelayed(): Promise<readonly FixJob[]>;
}

interface FollowOptions {
  readonly files?: Readonly<Record<string, string>>;
  /** Of the pull request; default: src.txt says good. */
  readonly change?: Readonly<Record<string, string>>;
}

/** As a run of ours publishes it, without the run. */
async function openOurs({ standIn, repository, job }: IssueWorld, change: Readonly<Record<string, string>>): Promise<PullRequest> {
  const { main = '' } = await repository.branches();
  const files = Object.entries(change).map(([path, text]) => ({
    path,
    change: { kind: 'write' as const, mode: '100644' as const, content: Buffer.from(text) },
  }));
  const branch = `mayfly/issue-${job.issue.number}`;
  const request = { files, branch, title: 'Fix it', body: `Closes #${job.issue.number}`, commitMessage: commitMessage(job, 'hold') };
  return await openPort(standIn, repository).repository.publish(aPublishRequest(main, request));
}

async function createFollowWorld({ files = {}, change = { 'src.txt': 'good\n' } }: FollowOptions = {}): Promise<FollowWorld> {
  await using starting = new AsyncDisposableStack();
  const world = starting.use(await createIssueWorld(files));
  const { standIn, repository } = world;
  const opened = await openOurs(world, change);
  const events: IntakeEvent[] = [];
  const log = pino({ level: 'silent' });
  const receiver = await createReceiver({
    host: '127.0.0.1',
    port: 0,
    path: '/',
    secrets: [standIn.app.webhookSecret],
    ready: () => Promise.resolve(),
    policy: { allowBots: [], appId: standIn.app.appId },
    enqueue: (event) => Promise.resolve(events.push(event) > 0 ? 'queued' : 'duplicate'),
    log,
  });
  starting.defer(() => receiver.close());
  standIn.webhooks.url = receiver.url;
  const parts = starting.move();
  const delayed: FollowWorld['delayed'] = [];
  const queued: FixJob[] = [];
  const atWork: 'working'[] = [];
  const takeAll = async (list: IntakeEvent[]): Promise<readonly FixJob[]> => {
    const before = queued.length;
    for (const event of list.splice(0)) await takeInEvent(event, tools, log);
    return queued.slice(before);
  };
  const tools: Parameters<typeof takeInEvent>[1] = {
    github: openPort(standIn, repository).github,
    operator: silentOperator,
    memory: world.memory,
    countOutsider: () => 1,
    inTurn: alone,
    signal: new AbortController().signal,
    queue: {
      addRun: (job) => Promise.resolve(queued.push(job) > 0),
      hasRun: (key) => Promise.resolve(queued.some((job) => job.key === key)),
      cancelIssue: () => Promise.resolve([]),
      find: () => Promise.resolve(atWork.map((state) => ({ runId: 'r', state, place: 0, of: 0, heldBy: null }))),
      tell: () => Promise.resolve(atWork[0] ?? 'none'),
      later: (event, delayMs) => {
        const known = delayed.some((other) => other.event.key === event.key);
        if (!known) delayed.push({ event: IntakeEvent.parse(event), delayMs });
        return Promise.resolve();
      },
    },
  };
  return {
    ...world,
    pull: opened.number,
    branch: opened.branch,
    headSha: opened.headSha,
    settings: async (followUps) => void (await repository.commit({ message: 'Settings', files: { '.github/mayfly.yml': JSON.stringify({ followUps }) } })),
    delayed,
    queued,
    atWork,
    async takeIn() {
      await standIn.webhooks.settled();
      return await takeAll(events);
    },
    take: (event) => takeInEvent(event, tools, log),
    takeInDelayed: () => takeAll(delayed.splice(0).map(({ event }) => event)),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/**
 * Tests of which each begins with a world of its own, and ends with a look at what was asked of GitHub. Skipped, and said
 * so, where no folder of this host can be a VM. What the tests are given is the world of the test that runs.
 */
export function describeFollow(title: string, options: FollowOptions, tests: (world: FollowWorld) => void): void {
  const reason = whyNoSshd();
  if (reason) process.stderr.write(`SKIPPED: ${title}: runs on folders of this host were not tested: ${reason}\n`);
  describe.skipIf(reason)(`follow-ups: ${title}`, () => {
    let world: FollowWorld | null = null;
    beforeEach(async () => void (world = await createFollowWorld(options)));
    afterEach(async () => {
      await using ending = world;
      if (ending !== null) failOnViolations(ending.standIn);
    });
    tests(new Proxy({} as FollowWorld, { get: (_none, name) => Reflect.get(world ?? {}, name) as unknown }));
  });
}
