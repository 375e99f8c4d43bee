/** A worker that is killed in the middle of claiming a VM: what it had made of it is no VM, and goes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sweep } from '../../src/sandbox/reaper.ts';
import { endsWithUs } from '../support/ends-with-us.ts';
import { newVmId } from '../support/guest.ts';

const script = fileURLToPath(new URL('../support/locked-process.ts', import.meta.url));
const uidRange = { first: 70_000, count: 1000 };
/** Takes no lock as long as whoever asks is alive. */
const slowFlock = '#!/bin/sh\nwhile kill -0 "$PPID" 2>/dev/null; do sleep 0.02; done\nexit 1\n';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mayfly-claim-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('leaves no VM, and the next sweeps forget it', async () => {
  const stateDir = join(directory, 'state');
  const claims = join(stateDir, 'claims');
  const listed = (at: string): Promise<string[]> => readdir(join(stateDir, at)).catch(() => []);
  await mkdir(join(directory, 'bin'));
  await writeFile(join(directory, 'bin', 'flock'), slowFlock, { mode: 0o755 });
  const env = { PATH: `${join(directory, 'bin')}:${process.env['PATH'] ?? ''}` };
  const worker = spawn(...endsWithUs(process.execPath, [script, JSON.stringify({ stateDir, uidRange })]), { env, stdio: ['pipe', 'ignore', 'inherit'] });
  worker.stdin.write(`${JSON.stringify({ claim: newVmId() })}\n`);
  await expect.poll(() => listed('claims'), { timeout: 20_000 }).toHaveLength(1);
  worker.kill('SIGKILL');
  await once(worker, 'exit');

  const host = { stateDir, uidRange, allowUnlimited: true, log: pino({ level: 'silent' }) };
  expect(await sweep(host)).toEqual([]);
  expect(await listed('vms')).toEqual([]);
  const [claim = ''] = await listed('claims');
  const longAgo = Date.now() / 1000 - 3600;
  await utimes(join(claims, claim), longAgo, longAgo);
  await sweep(host);
  expect(await listed('claims')).toEqual([]);
});
