/**
 * Clean slate: a run leaves words wherever root can write, and the runs after it - of the same and of another repository,
 * in a new VM and in one that stood ready - find none of them, in the guest or in what this host has of the VM.
 * `npm run bench -- clean` takes as many in turn as one likes.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import { createCleanSlate, foreignWords } from '../support/clean-slate/clean-slate.ts';
import type { Turn } from '../support/clean-slate/clean-slate.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, openGuestHost } from '../support/guest.ts';

const asRoot = process.getuid?.() === 0 ? null : 'it reads the memory of other processes, as root';
const guests = [
  ['qemu', createQemuProvider, isSkipped('the clean slate of qemu guests', (await lacksForGuests()) ?? asRoot)],
  ['oci', createOciProvider, isSkipped('the clean slate of gVisor guests', await lacksForGvisor())],
] as const;

const turnsOfTest = 4;

describe.for(guests)('a run in a guest of %s', ([, create, skipped]) => {
  const hosts = new AsyncDisposableStack();
  afterAll(() => hosts.disposeAsync());

  test.skipIf(skipped)('finds nothing of the runs before it', async () => {
    const host = await openGuestHost(create);
    hosts.defer(() => host.close());
    const { stateDir, memoryMib, vcpus: cpus, diskGib } = host.options;
    await using slate = createCleanSlate({ provider: host.provider(), vm: { cpus, memoryMib, diskGib }, stateDir, signal: AbortSignal.timeout(110_000) });
    const turns: Turn[] = [];
    for (let number = 0; number < turnsOfTest; number += 1) turns.push(await slate.turn({ guard: number === 0 }));
    console.log(JSON.stringify(turns, null, 1));

    expect(turns.map(foreignWords)).toEqual(turns.map(() => []));
  });
});
