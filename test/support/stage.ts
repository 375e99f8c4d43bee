/** Mayfly whole with replies written down, and what a test watches of it. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { expect } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import type { Config } from '../../src/config.ts';
import type { RunEvent } from '../../src/fix/report.ts';
import { createSecrets } from '../../src/log.ts';
import { repository as story } from '../demo/story.ts';
import { captureLog } from './capture-log.ts';
import { failOnViolations } from './github/clients.ts';
import { processesNaming } from './processes.ts';
import { startScriptedEndpoint } from './scripted-endpoint.ts';
import type { ScriptedReply } from './scripted-endpoint.ts';
import { startSystem } from './system.ts';
import type { System } from './system.ts';

export const modelKey = 'a-model-key-that-must-not-be-seen';
const people = { users: ['ada', 'mallory'], repository: { ...story, collaborators: [{ login: 'ada', permission: 'write' as const }] } };

export interface Stage {
  readonly system: System;
  readonly logged: () => string;
  /** Resolves at the first event that the test waits for. */
  readonly until: (wanted: (event: RunEvent) => boolean) => Promise<void>;
  /** Resolves when everything that GitHub sent was answered and taken in, nothing is put off, and no run waits or works. */
  readonly idle: () => Promise<void>;
}

export interface StageChange {
  readonly concurrency?: number;
  readonly private?: boolean;
  readonly provider?: 'qemu' | 'oci';
  readonly files?: Readonly<Record<string, string>>;
  readonly config?: Partial<Config>;
  /** Default: each run hears the whole list. */
  readonly replies?: 'turn' | 'request';
}

/** Taken down by the stack; `signal` ends what waits. */
export async function setStage(
  script: readonly ScriptedReply[],
  change: StageChange,
  { stack, signal }: { stack: AsyncDisposableStack; signal: AbortSignal },
): Promise<Stage> {
  const endpoint = await startScriptedEndpoint(script, change.replies ?? 'turn');
  stack.defer(() => endpoint.close());
  const secrets = createSecrets();
  secrets.protect(modelKey);
  const { log, lines } = captureLog(secrets);
  const waiting: { wanted: (event: RunEvent) => boolean; resolve: () => void }[] = [];
  const config: Config = {
    ...loadConfig('tool', { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }),
    MAYFLY_PROVIDER: change.provider ?? 'auto',
    MAYFLY_MODEL: 'anthropic/scripted',
    ANTHROPIC_API_KEY: modelKey,
    ANTHROPIC_BASE_URL: endpoint.baseUrl,
    MAYFLY_CONCURRENCY: change.concurrency ?? 1,
    MAYFLY_RUNS_PER_REPOSITORY: change.concurrency ?? 1,
    // A VM that waits, or makes a template after a slow run, is one more that a test would find; tests of them ask for it.
    MAYFLY_POOL_SIZE: 0,
    MAYFLY_REPOSITORY_TEMPLATES_GIB: 0,
    ...change.config,
  };
  const onEvent = (_runId: string, event: RunEvent): void => waiting.filter(({ wanted }) => wanted(event)).forEach(({ resolve }) => resolve());
  const repository = { ...people.repository, private: change.private ?? true, files: { ...people.repository.files, ...change.files } };
  const system = stack.use(await startSystem({ ...people, repository, config, log, secrets, signal, onEvent }));
  const idle = createIdle(system, stack);
  return { system, logged: () => lines.join(''), until: (wanted) => new Promise((resolve) => waiting.push({ wanted, resolve })), idle };
}

function createIdle({ config, standIn }: System, stack: AsyncDisposableStack): () => Promise<void> {
  const redis = new Redis(config.REDIS_URL ?? '', { maxRetriesPerRequest: null });
  const queues = ['intake', 'runs'].map((name) => new Queue(name, { connection: redis, prefix: 'mayfly' }));
  stack.defer(async () => {
    await Promise.all(queues.map((queue) => queue.close()));
    redis.disconnect();
  });
  return async () => {
    await standIn.webhooks.settled();
    const left = async (): Promise<number> => {
      const counts = await Promise.all(queues.map((queue) => queue.getJobCountByTypes('active', 'wait', 'prioritized', 'delayed')));
      return counts.reduce((sum, count) => sum + count, 0);
    };
    await expect.poll(left, { timeout: 120_000, interval: 50 }).toBe(0);
  };
}

export async function expectNothingLeft({ system }: Stage, runId: string): Promise<void> {
  await expect(readdir(join(system.stateDir, 'vms')).catch(() => [])).resolves.toEqual([]);
  await expect(processesNaming(runId)).resolves.toEqual([]);
  expect(system.standIn.tokens.filter((token) => !token.revoked)).toEqual([]);
  failOnViolations(system.standIn);
}
