/** Whether each role works, as its supervisor sees it: `/healthz`, `/readyz`, the heartbeat, and `mayfly health`. */
import { hostname } from 'node:os';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { startWeb } from '../../src/web.ts';
import { captureLog } from '../support/capture-log.ts';
import { aJob } from '../support/jobs.ts';
import { createQueueBench } from '../support/queue-bench.ts';
import type { QueueBench } from '../support/queue-bench.ts';
import { redisIsMissing } from '../support/redis.ts';
import { root } from '../support/repository.ts';
import { webConfig } from '../support/web-role.ts';

const key = `mayfly:worker:${hostname()}`;
const about = { version: '1.2.3', provider: 'qemu' };
const hourMs = 3_600_000;
/** Of a worker that is not to die of a moment in which this machine does something else. */
const heartbeat = { everyMs: 20, keptMs: hourMs, idleMs: 50, silentMs: hourMs };
const shortHeartbeat = { ...heartbeat, keptMs: 500, silentMs: 500 };
let bench: QueueBench;

/** The command as a supervisor runs it, with nothing but what it needs in its environment. */
async function health(role: 'web' | 'worker', environment: Record<string, string>) {
  const result = await execa(process.execPath, ['src/main.ts', 'health', '--role', role], {
    cwd: root,
    env: { PATH: process.env['PATH'], ...environment },
    extendEnv: false,
    reject: false,
    all: true,
  });
  return { exitCode: result.exitCode, text: result.all };
}

const beat = async () => JSON.parse((await bench.direct.get(key)) ?? 'null') as unknown;
const gone = () => expect.poll(() => bench.direct.exists(key)).toBe(0);
const there = () => expect.poll(() => bench.direct.exists(key)).toBe(1);

/** Hours pass for whoever measures how long a loop was silent, and for nobody else; returns after a beat that came later. */
async function passHours() {
  vi.advanceTimersByTime(2 * hourMs);
  // One may have been on its way before.
  for (let beats = 0; beats < 2; beats += 1) {
    await bench.direct.del(key);
    await there();
  }
}

function startProcess(command: 'work' | 'hang') {
  const child = execa(process.execPath, ['test/support/queue-process.ts', command, bench.redis.url, '1000'], { cwd: root, reject: false });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await child;
  });
  return child;
}

describe.skipIf(redisIsMissing())('the health', () => {
  beforeEach(async () => {
    bench = await createQueueBench();
  });
  afterEach(async () => {
    vi.useRealTimers();
    await bench[Symbol.asyncDispose]();
  });

  describe('of a worker', () => {
    test('is told by a heartbeat that says who it is and what it has in hand, and that ends with it', async () => {
      vi.useFakeTimers({ toFake: ['performance'] });
      const worker = await bench.worker({ about, heartbeat });
      await worker.consume();
      await worker.queue.addRun(aJob());
      const run = await worker.run(0);

      await expect.poll(beat).toMatchObject({ host: hostname(), pid: process.pid, ...about, runs: 1, concurrency: 4, draining: false });
      const closed = worker.queue.close(30_000);
      await expect.poll(beat).toMatchObject({ draining: true });
      // Longer than a loop may be silent: whoever drains is not dead.
      await passHours();
      expect(worker.messages()).not.toContain('this worker takes nothing any more; start it again');
      run.finish();
      await closed;

      expect(await beat()).toBeNull();
    });

    test('ends while the process lives on, when its loop gets no work out of Redis; and comes back', async () => {
      const worker = await bench.worker({ about, heartbeat: shortHeartbeat });
      await worker.consume();
      await there();
      // A key of another type makes every attempt to take a run fail.
      await bench.direct.set('mayfly:runs:wait', 'broken');

      await gone();

      expect(worker.messages()).toContain('this worker takes nothing any more; start it again');
      await bench.direct.del('mayfly:runs:wait');
      await there();
    });

    test('is not doubted while its hands are full', async () => {
      vi.useFakeTimers({ toFake: ['performance'] });
      const worker = await bench.worker({ about, heartbeat, concurrency: 1 });
      await worker.consume();
      await worker.queue.addRun(aJob());
      const run = await worker.run(0);

      await passHours();

      expect(await beat()).toMatchObject({ runs: 1 });
      run.finish();
    });

    test.each(['hang', 'work'] as const)('ends with a process that hangs or is killed: %s', async (command) => {
      const child = startProcess(command);
      await there();
      const adder = await bench.worker();
      await adder.queue.addRun(aJob());
      if (command === 'work') child.kill('SIGKILL');

      await gone();

      expect(await health('worker', { REDIS_URL: bench.redis.url })).toEqual({
        exitCode: 1,
        text: expect.stringContaining('no worker of this host') as string,
      });
    });

    test('is 0 for the command when it works, 4 when Redis is away, and 0 again after that', async () => {
      const environment = { REDIS_URL: bench.redis.url };
      const worker = await bench.worker({ about, heartbeat });
      await worker.consume();

      expect(await health('worker', environment)).toEqual({
        exitCode: 0,
        text: expect.stringMatching(/^worker on .+: working, 0 of 4 runs, qemu, /) as string,
      });
      await bench.redis.kill();
      expect(await health('worker', environment)).toMatchObject({ exitCode: 4 });
      await bench.redis.restart();
      await bench.direct.del(key);
      await there();
    });

    test('is not told by what somebody else wrote there', async () => {
      await bench.direct.set(key, JSON.stringify({ host: '[2J', runs: 1 }));

      expect(await health('worker', { REDIS_URL: bench.redis.url })).toMatchObject({ exitCode: 1 });
    });
  });

  describe('of the web role', () => {
    test('is 0 for the command, and 4 when Redis answers but is full', async () => {
      const captured = captureLog();
      const web = await startWeb(webConfig(bench.redis.url), { log: captured.log, signal: new AbortController().signal });
      await using _close = { [Symbol.asyncDispose]: () => web.close() };
      const status = async (path: string) => (await fetch(new URL(path, web.url))).status;
      const environment = { HOST: '127.0.0.1', PORT: new URL(web.url).port };

      expect(await health('web', environment)).toMatchObject({ exitCode: 0 });
      await bench.direct.config('SET', 'maxmemory', '1');
      await expect.poll(() => status('/readyz')).toBe(503);
      for (let asked = 0; asked < 50; asked += 1) await status('/readyz');

      expect(await bench.direct.ping()).toBe('PONG');
      expect(await status('/healthz')).toBe(200);
      expect(await health('web', environment)).toMatchObject({ exitCode: 4 });
      expect(captured.messages().filter((message) => message === 'not ready')).toHaveLength(1);
      await bench.direct.config('SET', 'maxmemory', '0');
      await expect.poll(() => status('/readyz')).toBe(200);
    });

    test('is 1 for the command when nothing listens', async () => {
      expect(await health('web', { HOST: '0.0.0.0', PORT: '1' })).toEqual({ exitCode: 1, text: expect.stringContaining('does not answer') as string });
    });
  });
});
