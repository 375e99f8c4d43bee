/** Composition of the webhook role: receiver and intake queue. Only wiring; no code path to a VM, a model or GitHub. */
import type { Config } from './config.ts';
import { FixError } from './errors.ts';
import type { Log } from './log.ts';
import { createIntakeQueue } from './queue/intake-queue.ts';
import { createReceiver } from './webhook/receive.ts';

/** One deadline for queueing. GitHub waits for 10 s, and what is not answered by then counts as failed. */
const enqueueMs = 3_000;
const readyMs = 1_000;

/** The part of the configuration that this role needs. */
export type WebConfig = Pick<Config, 'HOST' | 'PORT' | 'WEBHOOK_PATH' | 'WEBHOOK_SECRET' | 'APP_ID' | 'REDIS_URL' | 'MAYFLY_JOB_KEY' | 'MAYFLY_ALLOW_BOTS'>;

/** Listens when it resolves; `url` is what GitHub posts to. Starts without Redis and answers 503 until it is there. */
export async function startWeb(
  config: WebConfig,
  { log, signal }: { log: Log; signal: AbortSignal },
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const { REDIS_URL: redisUrl, MAYFLY_JOB_KEY: signingKey, WEBHOOK_SECRET: secret } = config;
  if (redisUrl === null || signingKey === null || secret === null) throw new FixError('config_invalid');
  signal.throwIfAborted();
  const queue = createIntakeQueue({ redisUrl, signingKey, log });
  try {
    const receiver = await createReceiver({
      host: config.HOST,
      port: config.PORT,
      path: config.WEBHOOK_PATH,
      secrets: [secret],
      policy: { allowBots: config.MAYFLY_ALLOW_BOTS, appId: config.APP_ID ?? null },
      enqueue: (event) => queue.add(event, enqueueMs),
      ready: () => queue.check(readyMs),
      log,
    });
    return {
      url: receiver.url,
      async close() {
        await receiver.close();
        await queue.close();
      },
    };
  } catch (thrown) {
    await queue.close();
    throw thrown;
  }
}
