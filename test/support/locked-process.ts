/** A process that holds VMs and locks and sweeps, as it is told: a line of JSON in, a line of JSON out. Options come in the first argument. */
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { claimVm } from '../../src/sandbox/claim.ts';
import { tryLock } from '../../src/sandbox/lock.ts';
import { sweep } from '../../src/sandbox/reaper.ts';

const host = { ...JSON.parse(process.argv[2] ?? '{}'), allowUnlimited: true, log: pino({ level: 'silent' }) };

async function obey({ claim, lock }: { claim?: string; lock?: string }): Promise<unknown> {
  if (lock !== undefined) return (await tryLock(lock)) !== null;
  if (claim === undefined) return await sweep(host);
  const limits = { memoryBytes: 2 ** 28, processes: 10, cpus: 1 };
  return await claimVm(host, { id: claim, limits, ownUser: true }).then(
    ({ uid }) => uid,
    (error: { details?: { why?: string } }) => error.details?.why ?? 'it failed',
  );
}

for await (const line of createInterface(process.stdin)) process.stdout.write(`${JSON.stringify(await obey(JSON.parse(line)))}\n`);
