/** Contract: output of any size costs the host a bounded amount of memory. */
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { run } from './subject.ts';
import type { Subject } from './subject.ts';

export function testOutputs(subject: () => Subject): void {
  test('a long output keeps its beginning and its end and says how much is left out', async () => {
    const result = await run(subject().sandbox, ['sh', '-c', 'echo first; head -c 100000 /dev/zero | tr "\\0" x; echo; echo last'], { maxOutputBytes: 1000 });

    expect(result.clippedBytes).toBe('first\n'.length + 100_001 + 'last\n'.length - 1000);
    expect(result.stdout).toMatch(/^first\nx+\n\[99012 bytes left out\]\nx+\nlast\n$/);
  });

  test('each output has its own limit', async () => {
    const result = await run(subject().sandbox, ['sh', '-c', 'printf 12345678; printf abcdefgh >&2'], { maxOutputBytes: 8 });

    expect(result).toMatchObject({ stdout: '12345678', stderr: 'abcdefgh', clippedBytes: 0 });
  });

  test('200 MB of output do not grow the host', async () => {
    const before = process.memoryUsage.rss();
    let peak = before;
    const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20);

    const result = await run(subject().sandbox, ['head', '-c', '200000000', '/dev/zero']);

    clearInterval(timer);
    expect(result.clippedBytes).toBe(200_000_000 - 65_536);
    expect(peak - before).toBeLessThan(120_000_000);
  });

  test('a sink that stands still holds up only its own command', async () => {
    const { sandbox } = subject();
    const held = Promise.withResolvers<() => void>();
    let total = 0;
    const sink = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, callback) {
        const first = total === 0;
        total += chunk.length;
        if (first) held.resolve(callback);
        else callback();
      },
    });

    const slow = sandbox.exec(['sh', '-c', 'head -c 10000000 /dev/zero; echo done >&2'], { stdout: sink });
    const release = await held.promise;
    await run(sandbox, ['true']);
    release();

    expect(await slow).toMatchObject({ exitCode: 0, stderr: 'done\n', stdout: '' });
    expect(total).toBe(10_000_000);
    expect(sink.writableFinished).toBe(true);
  });

  test('a sink that fails ends the command', async () => {
    const sink = new Writable({ write: (_chunk, _encoding, callback) => callback(new Error('enough')) });

    expect(await subject().sandbox.exec(['yes'], { stdout: sink })).toMatchObject({ ended: 'output_sink', signal: 'SIGKILL' });
  });

  test('a sink that throws or destroys itself ends the command', async () => {
    const throwing = new Writable();
    throwing._write = () => {
      throw new Error('enough');
    };
    const leaving = new Writable({ write: () => void leaving.destroy() });

    for (const stdout of [throwing, leaving]) expect(await subject().sandbox.exec(['yes'], { stdout })).toMatchObject({ ended: 'output_sink' });
  });

  test('a command that we end leaves its sink destroyed, so that a part is not taken for the whole', async () => {
    const sink = new Writable({ write: () => {} });
    const closed = once(sink, 'close');

    expect(await subject().sandbox.exec(['yes'], { stdout: sink, timeoutMs: 500 })).toMatchObject({ ended: 'timeout' });
    await closed;
    expect(sink.writableFinished).toBe(false);
  });
}
