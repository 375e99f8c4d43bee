/**
 * One end of the queue as a process of its own, so that it can be killed at a chosen moment:
 * `node queue-process.ts add REDIS_URL KEY` adds an event, `add-run REDIS_URL KEY` a run; `work REDIS_URL LOCK_MS` takes
 * runs, `end REDIS_URL LOCK_MS` ends them at once, and those of `hang REDIS_URL LOCK_MS` never give the thread back.
 */
import { once } from 'node:events';
import { createLog, createSecrets } from '../../src/log.ts';
import { createIntakeQueue } from '../../src/queue/intake-queue.ts';
import { createWorkerQueue } from '../../src/queue/worker-queue.ts';
import { aJob } from './jobs.ts';
import { jobKey } from './web-role.ts';

const [command = '', redisUrl = '', argument = ''] = process.argv.slice(2);
const shared = { redisUrl, signingKey: jobKey, log: createLog({ level: 'silent', secrets: createSecrets(), format: 'json' }) };

if (command === 'add') {
  const queue = createIntakeQueue(shared);
  console.log(await queue.add({ key: argument, deliveryId: 'from-the-process' }, 5_000));
  await queue.close();
} else if (command === 'add-run') {
  const queue = await createWorkerQueue({ ...shared, concurrency: 1 });
  console.log(await queue.addRun(aJob({ key: argument })));
} else {
  const about = { version: '0.0.1', provider: 'none' };
  const queue = await createWorkerQueue({ ...shared, concurrency: 1, lockMs: Number(argument), about, heartbeat: { everyMs: 50, keptMs: 1_000 } });
  await queue.consume({
    intake: async () => {},
    run: async (_job, { attempt, signal }) => {
      console.log(`running attempt ${attempt}`);
      if (command === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      if (command !== 'end' && !signal.aborted) await once(signal, 'abort');
    },
  });
  console.log('consuming');
}
