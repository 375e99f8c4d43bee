/** `mayfly start`: one or both roles in this process, until it is told to stop. */
import { once } from 'node:events';
import type { CommandContext } from './command-line.ts';

/** Resolves when everything is closed. Code of VMs is loaded only by the worker role. */
export async function startRoles(role: 'web' | 'worker' | 'all', { config, log, secrets, signal }: CommandContext): Promise<void> {
  const closers: (() => Promise<void>)[] = [];
  try {
    if (role !== 'worker') {
      const { startWeb } = await import('./web.ts');
      const web = await startWeb(config, { log, signal });
      closers.push(() => web.close());
      log.info({ url: web.url }, 'web is up');
    }
    if (role !== 'web') {
      const { startWorker } = await import('./worker.ts');
      const worker = await startWorker(config, { log, secrets, signal });
      closers.push(() => worker.close(config.MAYFLY_DRAIN_MINUTES * 60_000));
      log.info('worker is up');
    }
    if (!signal.aborted) await once(signal, 'abort');
    log.info('stopping');
  } finally {
    await Promise.all(closers.map((close) => close()));
  }
}
