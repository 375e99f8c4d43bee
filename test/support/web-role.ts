/** The real web role on a free port, and GitHub's side of it: signed deliveries. */
import { createHmac, randomUUID } from 'node:crypto';
import type { WebConfig } from '../../src/web.ts';
import { createReceiver } from '../../src/webhook/receive.ts';
import type { Receiver, ReceiverOptions } from '../../src/webhook/receive.ts';
import { captureLog } from './capture-log.ts';

export const webhookSecret = 'a-secret-of-the-tests';
export const jobKey = 'the key that signs the jobs of tests';

export function webConfig(redisUrl: string, change: Partial<WebConfig> = {}): WebConfig {
  return {
    HOST: '127.0.0.1',
    PORT: 0,
    WEBHOOK_PATH: '/api/github/webhooks',
    WEBHOOK_SECRET: webhookSecret,
    APP_ID: undefined,
    REDIS_URL: redisUrl,
    MAYFLY_JOB_KEY: jobKey,
    MAYFLY_ALLOW_BOTS: [],
    ...change,
  };
}

/** The receiver alone, in this process: it takes everything that is signed, and queues nothing unless told where. */
export async function openReceiver(change: Partial<ReceiverOptions> = {}): Promise<Receiver & AsyncDisposable> {
  const receiver = await createReceiver({
    host: '127.0.0.1',
    port: 0,
    path: '/api/github/webhooks',
    secrets: [webhookSecret],
    policy: { allowBots: [], appId: null },
    enqueue: async () => 'queued',
    ready: async () => {},
    log: captureLog().log,
    ...change,
  });
  return { ...receiver, [Symbol.asyncDispose]: () => receiver.close() };
}

export function sign(body: string | Uint8Array, secret = webhookSecret): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

export interface DeliveryParts {
  readonly event?: string;
  readonly guid?: string;
  /** Over, or instead of, those that GitHub sends; null leaves one out. */
  readonly headers?: Readonly<Record<string, string | null>>;
}

/** Posts a delivery as GitHub does. */
export async function deliver(url: string, payload: unknown, { event = 'issues', guid = randomUUID(), headers = {} }: DeliveryParts = {}) {
  const body = typeof payload === 'string' || payload instanceof Uint8Array ? payload : JSON.stringify(payload);
  const all: Record<string, string | null> = {
    'content-type': 'application/json',
    'x-github-event': event,
    'x-github-delivery': guid,
    'x-hub-signature-256': sign(body),
    ...headers,
  };
  const sent = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== null);
  const response = await fetch(url, { method: 'POST', body: Buffer.from(body), headers: sent, signal: AbortSignal.timeout(15_000) });
  return { status: response.status, text: await response.text() };
}
