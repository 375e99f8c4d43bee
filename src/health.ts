/**
 * `mayfly health`: whether the web role or the worker of this host works, for supervisors that ask with a command.
 * Two bad answers differ, because only one of them is mended by a restart: `not_healthy` and `redis_unavailable`.
 */
import type { CommandContext } from './command-line.ts';
import { FixError } from './errors.ts';
import { readHeartbeat } from './queue/heartbeat.ts';

const askMs = 5_000;

/** Prints one line when all is well. Throws `not_healthy`, `redis_unavailable`, `config_invalid`. */
export async function checkHealth(role: 'web' | 'worker', context: CommandContext): Promise<void> {
  console.log(role === 'web' ? await checkWeb(context) : await checkWorker(context));
}

async function checkWorker({ config, log }: CommandContext): Promise<string> {
  const { REDIS_URL: redisUrl } = config;
  if (redisUrl === null) throw new FixError('config_invalid', { details: { problems: ['REDIS_URL is not set'] } });
  const beat = await readHeartbeat({ redisUrl, log });
  if (beat === null) throw new FixError('not_healthy', { details: { reason: 'no worker of this host reports to Redis' } });
  const state = beat.draining ? 'draining' : 'working';
  return `worker on ${beat.host}: ${state}, ${beat.runs} of ${beat.concurrency} runs, ${beat.provider}, Mayfly ${beat.version}, since ${beat.startedAt}`;
}

async function checkWeb({ config: { HOST: host, PORT: port }, signal }: CommandContext): Promise<string> {
  // What listens on every address is asked on loopback.
  const reached = ({ '0.0.0.0': '127.0.0.1', '::': '[::1]' } as Record<string, string>)[host] ?? (host.includes(':') ? `[${host}]` : host);
  const ask = async (path: string): Promise<number> => {
    const response = await fetch(`http://${reached}:${port}${path}`, { signal: AbortSignal.any([signal, AbortSignal.timeout(askMs)]) });
    await response.body?.cancel();
    return response.status;
  };
  const alive = await ask('/healthz').catch((cause: unknown) => {
    throw new FixError('not_healthy', { cause, details: { reason: 'the web role does not answer' } });
  });
  if (alive !== 200) throw new FixError('not_healthy', { details: { reason: `/healthz answers ${alive}` } });
  if ((await ask('/readyz')) !== 200) throw new FixError('redis_unavailable', { details: { reason: '/readyz says that no delivery can be queued' } });
  return 'web: up, and a delivery could be queued now';
}
