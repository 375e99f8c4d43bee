/** Two workers of one host that share its directories and see neither each other's processes nor its sockets, as in two containers. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findCgroups, removeCgroups } from '../../src/sandbox/cgroup.ts';
import { endsWithUs } from '../support/ends-with-us.ts';
import { isSkipped, newVmId } from '../support/guest.ts';

const apart = ['--pid', '--fork', '--mount-proc', '--net', '--kill-child'];
const lacking = (await execa('unshare', [...apart, 'true'], { reject: false })).failed ? 'no namespaces can be made here' : null;
const script = fileURLToPath(new URL('../support/locked-process.ts', import.meta.url));

interface Contained {
  readonly tell: (what: { claim?: string; lock?: string }) => Promise<unknown>;
  readonly end: () => Promise<void>;
}

describe.skipIf(isSkipped('two workers in two containers', lacking))('two workers in two containers of one host', () => {
  let stateDir: string;
  let running: ChildProcess[];
  beforeEach(async () => {
    running = [];
    stateDir = await mkdtemp(join(tmpdir(), 'mayfly-containers-'));
  });
  afterEach(async () => {
    for (const child of running) child.kill('SIGKILL');
    await rm(stateDir, { recursive: true, force: true });
  });

  function start(uids = 1000): Contained {
    const options = JSON.stringify({ stateDir, uidRange: { first: 70_000, count: uids } });
    const child = spawn(...endsWithUs('unshare', [...apart, process.execPath, script, options]), { stdio: ['pipe', 'pipe', 'inherit'] });
    running.push(child);
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    return {
      async tell(what) {
        child.stdin.write(`${JSON.stringify(what)}\n`);
        return JSON.parse(String((await lines.next()).value)) as unknown;
      },
      async end() {
        child.kill('SIGKILL');
        await once(child, 'exit');
      },
    };
  }

  test('leave each other’s VMs alone, and sweep them when the other is gone', async () => {
    const [one, other] = [start(), start()];
    const id = newVmId();
    expect(await one.tell({ claim: id })).toBeGreaterThanOrEqual(70_000);

    expect(await other.tell({})).toEqual([]);
    expect(await readdir(join(stateDir, 'vms'))).toEqual([id]);
    await one.end();

    // The last of them is gone a moment after the first.
    await expect.poll(() => other.tell({})).toEqual([id]);
    expect(await findCgroups(id)).toEqual([]);
  });

  test('never give two VMs the same user, and hold locks against each other', async () => {
    const [one, other] = [start(1), start(1)];
    const [first, second] = [newVmId(), newVmId()];

    const given = await Promise.all([one.tell({ claim: first }), other.tell({ claim: second })]);
    expect(given.filter((uid) => uid === 70_000).length).toBeLessThanOrEqual(1);
    expect(given).toContain('every user id of the range is in use');
    const lock = join(stateDir, 'locks', 'a');
    expect([await one.tell({ lock }), await other.tell({ lock }), await one.tell({ lock })]).toEqual([true, false, false]);
    await one.end();
    await expect.poll(() => other.tell({ lock })).toBe(true);
    await removeCgroups((await Promise.all([first, second].map(findCgroups))).flat());
  });
});
