/** Making the saved half of a template: safe when two do it, when one is killed, when one gives up; quick when it is there. */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { QemuOptions } from '../../src/sandbox/qemu.ts';
import { buildTemplate, findTemplate } from '../../src/sandbox/template.ts';
import { endsWithUs } from '../support/ends-with-us.ts';
import { processesNaming } from '../support/processes.ts';
import { lacksForGuests, openGuestHost } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';

const lacking = await lacksForGuests();
if (lacking !== null) process.stderr.write(`skipped: guests, because ${lacking}\n`);

describe.skipIf(lacking !== null)('a template', () => {
  let host: GuestHost;
  let options: QemuOptions;
  const snapshots = (): Promise<string[]> => readdir(join(options.cacheDir, 'snapshots')).catch(() => []);
  beforeAll(async () => {
    host = await openGuestHost();
    // The image is the one that is there; what is made in this test lies apart and has a shape of its own.
    const cacheDir = await mkdtemp(join(tmpdir(), 'mayfly-cache-'));
    await chmod(cacheDir, 0o711);
    await symlink(join(host.options.cacheDir, 'images'), join(cacheDir, 'images'));
    await symlink(join(host.options.cacheDir, 'kvm-verdict.json'), join(cacheDir, 'kvm-verdict.json'));
    options = { ...host.options, cacheDir, memoryMib: 384, vcpus: 1 };
  });
  afterAll(async () => {
    await rm(options.cacheDir, { recursive: true, force: true });
    await host.close();
  });

  test('is missing until it is made, and nothing is left of a making that was cancelled', async () => {
    const cancelled = new AbortController();
    const onProgress = (line: string): void => {
      if (line.startsWith('booting')) setTimeout(() => cancelled.abort(), 500);
    };

    await expect(findTemplate(options)).rejects.toMatchObject({ code: 'template_missing' });
    await expect(buildTemplate(options, { signal: cancelled.signal, onProgress })).rejects.toMatchObject({ code: 'cancelled' });

    expect(await snapshots()).toEqual([]);
    expect(await processesNaming(options.cacheDir)).toEqual([]);
  });

  test('is made once when two processes make it, also after a third was killed in the middle', async () => {
    const killed = build(options);
    await said(killed, (line) => line.startsWith('booting'));
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    expect(await snapshots()).toEqual([expect.stringContaining('.building-')]);

    const both = [build(options), build(options)];
    await Promise.all(both.map((builder) => Promise.all([once(builder, 'exit'), said(builder, (line) => line === 'built')])));

    const [only, ...others] = await snapshots();
    expect(others).toEqual([]);
    expect(only).toMatch(/^[0-9a-f]{24}$/);
    expect(await processesNaming(options.cacheDir)).toEqual([]);
  });

  test('is found when it is there, with nothing done for it, and is not for a machine of another shape', async () => {
    const progress: string[] = [];
    const before = await snapshots();
    const { snapshot } = await buildTemplate(options, { signal: new AbortController().signal, onProgress: (line) => void progress.push(line) });
    expect(progress).toEqual([]);
    expect(await snapshots()).toEqual(before);

    expect((await stat(snapshot?.memory ?? '')).size).toBe(options.memoryMib * 2 ** 20);
    for (const change of [{ memoryMib: 385 }, { vcpus: 2 }, { diskGib: options.diskGib + 1 }]) {
      await expect(findTemplate({ ...options, ...change })).rejects.toMatchObject({ code: 'template_missing' });
    }
  });
});

type Builder = ChildProcessByStdio<null, Readable, null>;

function build(options: QemuOptions): Builder {
  const script = fileURLToPath(new URL('../support/template-builder.ts', import.meta.url));
  const { log: _, ...plain } = options;
  return spawn(...endsWithUs(process.execPath, [script, JSON.stringify(plain)]), { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function said(builder: Builder, wanted: (line: string) => boolean): Promise<void> {
  for await (const line of createInterface(builder.stdout)) if (wanted(line)) return;
  throw new Error('the builder ended without saying so');
}
