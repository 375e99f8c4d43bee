/**
 * Clean slate: a run leaves words wherever root can write, and the runs after it - of the same and of another repository,
 * in a new VM, in one that stood ready and in one that begins with the repository template - find none of them, in the
 * guest or in what this host has of the VM and of the template.
 * `npm run bench -- clean` takes as many in turn as one likes.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import { createCleanSlate, foreignWords } from '../support/clean-slate/clean-slate.ts';
import type { Turn } from '../support/clean-slate/clean-slate.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, openGuestHost } from '../support/guest.ts';

const notRoot = process.getuid?.() === 0 ? null : 'it reads the memory of other processes, as root';
const inFiles = ['workspace', 'git-hook', 'home', 'start-file', 'git-settings', 'npm-cache', 'pip-cache', 'apt-cache', 'root-home', 'kept-temporary'];
const inMore = ['log', 'program', 'own-program', 'environment-file', 'profile', 'timetable'];
const inMemory = ['run-directory', 'shared-memory', 'argument', 'variable', 'filled', 'kernel-log'];
const guests = [
  {
    name: 'qemu',
    create: createQemuProvider,
    skipped: isSkipped('the clean slate of qemu guests', (await lacksForGuests()) ?? notRoot),
    // Under gVisor nobody sets the host name or the time, and names are in its own memory.
    disk: [...inFiles, ...inMore, 'file-name', 'link', 'attribute', 'unlinked'],
    memory: [...inMemory, 'host'],
    planted: [...inFiles, ...inMore, ...inMemory, 'host', 'clock'],
  },
  {
    name: 'gVisor',
    create: createOciProvider,
    skipped: isSkipped('the clean slate of gVisor guests', await lacksForGvisor()),
    disk: [...inFiles, ...inMore],
    memory: [...inMemory, 'file-name', 'link', 'attribute'],
    planted: [...inFiles, ...inMore, ...inMemory],
  },
] as const;
/** The second is of the same repository and stood ready, the third begins with its template, the fourth is of another. */
const turnsOfTest = 4;

describe.for(guests)('runs in $name guests', ({ create, skipped, disk, memory, planted }) => {
  const hosts = new AsyncDisposableStack();
  afterAll(() => hosts.disposeAsync());

  test.skipIf(skipped)('find nothing of those before them', { timeout: 420_000 }, async () => {
    const host = await openGuestHost(create);
    hosts.defer(() => host.close());
    const { stateDir, memoryMib, vcpus: cpus, diskGib } = host.options;
    const slate = createCleanSlate({ provider: host.provider(), vm: { cpus, memoryMib, diskGib }, stateDir, signal: AbortSignal.timeout(410_000) });
    hosts.use(slate);
    const turns: Turn[] = [];
    for (let number = 0; number < turnsOfTest; number += 1) turns.push(await slate.turn({ guard: number === 0 }));

    const [first] = turns;
    // The search can find: the words of its own VM, and the content of its own repository.
    expect(first?.planted).toEqual(expect.arrayContaining([...planted]));
    expect(first?.own?.disk).toEqual(expect.arrayContaining([...disk]));
    expect(first?.own?.memory).toEqual(expect.arrayContaining([...memory]));
    expect(first?.own?.inside).toEqual(expect.arrayContaining([...inFiles, ...inMore, 'file-name', 'link', 'shared-memory', 'argument', 'variable']));
    for (const { before, repository } of turns) {
      expect(before).toEqual(
        expect.arrayContaining([expect.stringMatching(`^(?:disk|memory|layer): .*repository-${repository}Z$`), expect.stringMatching('^inside: ')]),
      );
    }
    expect(turns.map(({ repository, start }) => `${repository} ${start}`)).toEqual(['a new', 'a ready', 'a kept', 'b new']);
    expect(turns[2]?.before).toContainEqual(expect.stringMatching(/^layer: .*repository-aZ$/));
    expect(turns.map(foreignWords)).toEqual(turns.map(() => []));
    expect(turns.map(({ left }) => left)).toEqual(turns.map(() => []));
    expect(Math.max(...turns.map(({ clockErrorMs }) => clockErrorMs))).toBeLessThan(10_000);
  });
});

test('a word of another repository or of an earlier turn is told apart from its own', () => {
  const before = ['disk: canary-1-repository-aZ', 'inside: canary-1-repository-bZ', 'memory: canary-1-turn-0-homeZ'];

  expect(foreignWords({ before, repository: 'a' })).toEqual(before.slice(1));
});
