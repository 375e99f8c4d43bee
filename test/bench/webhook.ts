/**
 * `bench -- webhook`: how fast the web role acknowledges when GitHub sends 100 deliveries a second. Each has its
 * moment, whatever became of those before it, and its time counts from that moment: a slow answer cannot hide the
 * next one (https://www.scylladb.com/2021/04/22/on-coordinated-omission/).
 */
import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { anIssuesPayload } from '../support/payloads.ts';
import { startRedis } from '../support/redis.ts';
import { sign } from '../support/web-role.ts';
import { startWebProcess } from '../support/start-web-process.ts';
import { addSample, countFailure, createSeries } from './series.ts';
import type { Series } from './series.ts';

export interface WebhookBench {
  readonly seconds: number;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export const deliveriesPerSecond = 100;
/** The first deliveries meet code that has not run yet. */
const warmUpSeconds = 2;

export async function benchWebhook({ seconds, signal, onProgress }: WebhookBench): Promise<Series[]> {
  await using parts = new AsyncDisposableStack();
  const redis = await startRedis({ appendfsync: 'always' });
  parts.defer(() => redis.stop());
  const web = parts.use(await startWebProcess(redis.url));
  const agent = new Agent({ keepAlive: true });
  parts.defer(() => agent.destroy());
  const deliver = (body: string): Promise<number> => post({ url: web.url, agent, body, signal });

  onProgress(`warm-up: ${warmUpSeconds} s`);
  await send(warmUpSeconds, createSeries('warm-up', 'ms', ''), { deliver, signal });
  onProgress(`${deliveriesPerSecond} deliveries a second for ${seconds} s`);
  const acknowledged = createSeries(
    'acknowledgement',
    'ms',
    'the moment at which the delivery was due -> its status 200 is here; the delivery is in Redis by then',
  );
  await send(seconds, acknowledged, { deliver, signal });

  const expected = (seconds + warmUpSeconds) * deliveriesPerSecond;
  const queued = await countQueued(redis.url);
  if (queued !== expected) countFailure(acknowledged, `${queued} of ${expected} deliveries are queued`);
  return [acknowledged];
}

interface Sending {
  readonly deliver: (body: string) => Promise<number>;
  readonly signal: AbortSignal;
}

/** Resolves when every delivery was answered, or failed. */
async function send(seconds: number, series: Series, { deliver, signal }: Sending): Promise<void> {
  const bodies = Array.from({ length: seconds * deliveriesPerSecond }, () => JSON.stringify(anIssuesPayload({ issue: { title: randomUUID() } })));
  const beganAt = performance.now() + 100;
  const answers = bodies.map((body, index) =>
    addSample(series, signal, async () => {
      const dueAt = beganAt + (index * 1000) / deliveriesPerSecond;
      await pause(Math.max(0, dueAt - performance.now()), undefined, { signal });
      const status = await deliver(body);
      if (status !== 200) throw new Error(`status ${status}`);
      return performance.now() - dueAt;
    }),
  );
  await Promise.all(answers);
}

interface Delivery {
  readonly url: string;
  readonly agent: Agent;
  readonly body: string;
  readonly signal: AbortSignal;
}

/** Resolves to the status, as soon as it is here. */
function post({ url, agent, body, signal }: Delivery): Promise<number> {
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-github-event': 'issues',
    'x-github-delivery': randomUUID(),
    'x-hub-signature-256': sign(body),
  };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers, signal, timeout: 15_000 }, (response) => {
      resolve(response.statusCode ?? 0);
      response.resume();
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer in 15 s'))).on('error', reject);
    sent.end(body);
  });
}

/** One job a delivery: what came twice would be one too many, what is missing one too few. */
async function countQueued(redisUrl: string): Promise<number> {
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue('intake', { connection, prefix: 'mayfly' });
  try {
    return await queue.getWaitingCount();
  } finally {
    await queue.close();
    connection.disconnect();
  }
}
