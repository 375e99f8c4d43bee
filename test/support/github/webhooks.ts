/** Webhook deliveries as GitHub makes them: signed, recorded, one GUID per event that every redelivery keeps. */
import { createHmac, randomUUID } from 'node:crypto';
import { Agent, request } from 'undici';
import { iso, type Json, type StandInApp } from './world.ts';

export interface Delivery {
  readonly id: number;
  readonly guid: string;
  readonly event: string;
  readonly action: string | null;
  readonly redelivery: boolean;
  readonly deliveredAt: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The exact bytes that were signed. */
  readonly rawBody: string;
  durationMs: number;
  /** 0 while it is under way; 502 nobody listened, 504 no answer in time, else the receiver's. */
  statusCode: number;
  status: string;
}

export interface Webhooks {
  /** Where to; null: nobody is told, and nothing is recorded. */
  url: string | null;
  readonly deliveries: readonly Delivery[];
  /** Sends an event that happened; returns at once. */
  emit(event: string, payload: Json): void;
  /** The same event again: same GUID, a new delivery. Settles when it was answered. */
  redeliver(id: number): Promise<Delivery>;
  /** The same bytes under another GUID, or under another event name: what an attacker or a bug would send. */
  replay(id: number, change?: { guid?: string; event?: string; rawBody?: string }): Promise<Delivery>;
  /** Keeps events back, until `release` sends them in the order given (indexes; default as they came). */
  hold(): void;
  release(order?: readonly number[]): void;
  /** When nothing is under way. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export interface WebhookOptions {
  readonly app: StandInApp;
  readonly url: string | null;
  readonly timeoutMs: number;
  readonly now: () => number;
}

/** What every App is sent, whatever it subscribes to: https://docs.github.com/en/webhooks/webhook-events-and-payloads#installation */
const unasked: readonly string[] = ['installation', 'installation_repositories'];

export function createWebhooks(options: WebhookOptions): Webhooks {
  const deliveries: Delivery[] = [];
  const underWay = new Set<Promise<Delivery>>();
  const agent = new Agent();
  const aborted = new AbortController();
  let held: (() => void)[] | null = null;
  let lastId = 20_000_000_000;

  const send = (draft: Pick<Delivery, 'guid' | 'event' | 'action' | 'redelivery' | 'rawBody'>): Promise<Delivery> => {
    lastId += 17;
    const delivery: Delivery = {
      ...draft,
      id: lastId,
      deliveredAt: options.now(),
      headers: headersOf(options.app, draft),
      durationMs: 0,
      statusCode: 0,
      status: 'pending',
    };
    deliveries.push(delivery);
    const started = performance.now();
    const signal = AbortSignal.any([AbortSignal.timeout(options.timeoutMs), aborted.signal]);
    const done = post(webhooks.url, delivery, agent, signal).then((outcome) => Object.assign(delivery, outcome, { durationMs: performance.now() - started }));
    underWay.add(done);
    void done.finally(() => underWay.delete(done));
    return done;
  };
  const find = (id: number): Delivery => {
    const found = deliveries.find((delivery) => delivery.id === id);
    if (!found) throw new Error(`no delivery ${id}`);
    return found;
  };
  const webhooks: Webhooks = {
    url: options.url,
    deliveries,
    emit(event, payload) {
      if (webhooks.url === null || !(options.app.events.includes(event) || unasked.includes(event))) return;
      const draft = { guid: randomUUID(), event, action: payload.action ?? null, redelivery: false, rawBody: JSON.stringify(payload) };
      if (held) held.push(() => void send(draft));
      else void send(draft);
    },
    redeliver: (id) => send({ ...find(id), redelivery: true }),
    replay: (id, change = {}) => send({ ...find(id), guid: randomUUID(), ...change }),
    hold: () => void (held ??= []),
    release(order) {
      const waiting = held ?? [];
      held = null;
      for (const index of order ?? waiting.keys()) waiting[index]?.();
    },
    async settled() {
      while (underWay.size > 0) await Promise.all(underWay);
    },
    async close() {
      aborted.abort();
      await webhooks.settled();
      await agent.close();
    },
  };
  return webhooks;
}

function headersOf(app: StandInApp, draft: Pick<Delivery, 'guid' | 'event' | 'rawBody'>): Record<string, string> {
  const sign = (algorithm: string): string => createHmac(algorithm, app.webhookSecret).update(draft.rawBody).digest('hex');
  return {
    accept: '*/*',
    'content-type': 'application/json',
    'user-agent': 'GitHub-Hookshot/5f2c1b3',
    'x-github-delivery': draft.guid,
    'x-github-event': draft.event,
    'x-github-hook-id': String(app.appId + 1000),
    'x-github-hook-installation-target-id': String(app.appId),
    'x-github-hook-installation-target-type': 'integration',
    'x-hub-signature': `sha1=${sign('sha1')}`,
    'x-hub-signature-256': `sha256=${sign('sha256')}`,
  };
}

async function post(url: string | null, delivery: Delivery, agent: Agent, signal: AbortSignal): Promise<Pick<Delivery, 'statusCode' | 'status'>> {
  try {
    if (url === null) throw new Error('no webhook URL');
    const response = await request(url, { method: 'POST', dispatcher: agent, headers: delivery.headers, body: delivery.rawBody, signal });
    await response.body.dump();
    return { statusCode: response.statusCode, status: response.statusCode < 300 ? 'OK' : `Invalid HTTP Response: ${response.statusCode}` };
  } catch {
    return signal.aborted ? { statusCode: 504, status: 'timed out' } : { statusCode: 502, status: 'failed to connect to host' };
  }
}

/** A delivery as `GET /app/hook/deliveries` lists it. */
export function deliveryItem(delivery: Delivery, app: StandInApp): Json {
  const payload = JSON.parse(delivery.rawBody);
  return {
    id: delivery.id,
    guid: delivery.guid,
    delivered_at: iso(delivery.deliveredAt),
    redelivery: delivery.redelivery,
    duration: Math.round(delivery.durationMs / 10) / 100,
    status: delivery.status,
    status_code: delivery.statusCode,
    event: delivery.event,
    action: delivery.action,
    installation_id: app.installationId,
    repository_id: payload.repository?.id ?? null,
    throttled_at: null,
  };
}
