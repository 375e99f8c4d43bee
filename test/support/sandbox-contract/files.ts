/** Contract: files go in and out whole or not at all, within bounds. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { run } from './subject.ts';
import type { Subject } from './subject.ts';

const oddName = "two words/it's $(a) ünïcödé\nfile";

export function testFiles(subject: () => Subject): void {
  test('binary content, and none at all, comes back as it went in', async () => {
    const { sandbox, scratch } = subject();
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

    for (const content of [everyByte, Buffer.alloc(0)]) {
      await sandbox.put(`${scratch}/${oddName}`, content);
      expect(await sandbox.get(`${scratch}/${oddName}`, { maxBytes: 256 })).toEqual(content);
    }
  });

  // Many times what any buffer on the way holds, and no more: under emulation a megabyte takes a tenth of a second, each way.
  test('20 MB go in as a stream and come back', async () => {
    const { sandbox, scratch } = subject();
    const chunk = randomBytes(1_000_000);

    await sandbox.put(`${scratch}/large`, Readable.from(Array.from({ length: 20 }, () => chunk)));
    const back = await sandbox.get(`${scratch}/large`, { maxBytes: 20_000_000 });

    expect(back.equals(Buffer.concat(Array.from({ length: 20 }, () => chunk)))).toBe(true);
  });

  test('owner and mode are those that were asked for', async () => {
    const { sandbox, scratch } = subject();
    await sandbox.put(`${scratch}/plain`, 'text');
    await sandbox.put(`${scratch}/tool`, '#!/bin/sh\necho ran', { mode: 0o755 });
    await sandbox.put(`${scratch}/secret`, 'text', { user: 'root', mode: 0o600 });

    const { stdout } = await run(sandbox, ['stat', '-c', '%a %u', `${scratch}/plain`, `${scratch}/tool`, `${scratch}/secret`]);

    const [plain, tool, secret] = stdout.split('\n');
    expect([plain, tool, secret]).toEqual([expect.stringMatching(/^644 [1-9]/), expect.stringMatching(/^755 [1-9]/), '600 0']);
    expect(await run(sandbox, [`${scratch}/tool`])).toMatchObject({ stdout: 'ran\n' });
  });

  test('a file that is written again without a mode keeps its own', async () => {
    const { sandbox, scratch } = subject();
    await sandbox.put(`${scratch}/kept`, 'one', { mode: 0o755 });

    await sandbox.put(`${scratch}/kept`, 'two');

    expect(await run(sandbox, ['sh', '-c', 'stat -c %a kept; cat kept'], { cwd: scratch })).toMatchObject({ stdout: '755\ntwo' });
  });

  test("the agent cannot read or replace root's files", async () => {
    const { sandbox, scratch } = subject();
    const path = `${scratch}/root only/file`;
    await sandbox.put(path, 'text', { user: 'root', mode: 0o600 });

    await expect(sandbox.get(path, { maxBytes: 10 })).rejects.toMatchObject({ code: 'guest_file_failed' });
    await expect(sandbox.put(path, 'mine')).rejects.toMatchObject({ code: 'guest_file_failed' });
    expect(String(await sandbox.get(path, { user: 'root', maxBytes: 10 }))).toBe('text');
  });

  test('a missing file, a directory and a file that is too large are told apart', async () => {
    const { sandbox, scratch } = subject();
    await sandbox.put(`${scratch}/eleven`, 'x'.repeat(11));

    await expect(sandbox.get(`${scratch}/none`, { maxBytes: 10 })).rejects.toMatchObject({ code: 'guest_file_missing' });
    await expect(sandbox.get(scratch, { maxBytes: 10 })).rejects.toMatchObject({ code: 'guest_file_failed' });
    await expect(sandbox.get(`${scratch}/eleven`, { maxBytes: 10 })).rejects.toMatchObject({ code: 'guest_file_too_large' });
    expect(await sandbox.get(`${scratch}/eleven`, { maxBytes: 11 })).toHaveLength(11);
  });

  test('a source that fails leaves the old file and nothing beside it', async () => {
    const { sandbox, scratch } = subject();
    const directory = `${scratch}/whole`;
    await sandbox.put(`${directory}/file`, 'old');
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from('new');
        await sandbox.exec(['true']);
        throw new Error('source failed');
      })(),
    );

    await expect(sandbox.put(`${directory}/file`, broken)).rejects.toMatchObject({ code: 'cancelled' });

    expect(await run(sandbox, ['sh', '-c', 'ls; cat file'], { cwd: directory })).toMatchObject({ stdout: 'file\nold' });
  });

  test('a full disk is said to be one, and the file is not half there', async (context) => {
    const { sandbox, scratch } = subject();
    const disk = `${scratch}/disk`;
    const mounted = await sandbox.exec(['sh', '-c', 'mkdir "$1" && mount -t tmpfs -o size=256k,mode=1777 tmpfs "$1"', 'sh', disk], { user: 'root' });
    if (mounted.exitCode !== 0) return context.skip(`no file system could be mounted: ${mounted.stderr.trim()}`);

    await expect(sandbox.put(`${disk}/file`, randomBytes(1_000_000))).rejects.toMatchObject({ code: 'guest_disk_full' });

    expect(await run(sandbox, ['ls', '-A', disk])).toMatchObject({ stdout: '' });
    await run(sandbox, ['umount', disk], { user: 'root', cwd: '/' });
  });
}
