import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { clipEnds } from '../../../src/agent/clip.ts';
import { createOutput, createOutputFiles } from '../../../src/agent/output.ts';
import type { Output } from '../../../src/agent/output.ts';
import { runCall } from '../../../src/agent/tools.ts';
import { FixError } from '../../../src/errors.ts';
import { createFakeSandbox } from '../../support/fake-sandbox.ts';
import { aToolContext } from '../../support/play-agent.ts';

const mib = 1024 * 1024;
const filled = (...chunks: readonly (string | Buffer)[]): Output => {
  const output = createOutput(() => {});
  for (const chunk of chunks) output.sink.write(chunk);
  return output;
};

describe('an output', () => {
  it('is shown and kept whole while it is short', () => {
    const output = filled('one\n', 'two\n');

    expect(clipEnds(output.ends(), 1000)).toEqual({ text: 'one\ntwo\n', clipped: false });
    expect(output.whole().toString()).toBe('one\ntwo\n');
  });

  it('is shown by its ends, with the number of all lines between, and kept whole', () => {
    const lines = Array.from({ length: 200_000 }, (_, index) => `line ${index}`);
    const output = filled(lines.join('\n'));

    const shown = clipEnds(output.ends(), 1000).text.split('\n');

    expect([shown[0], shown.at(-1)]).toEqual(['line 0', 'line 199999']);
    const left = Number(/(\d+) lines/.exec(shown.find((line) => line.startsWith('[...')) ?? '')?.[1]);
    expect(Math.abs(left + shown.length - 1 - lines.length)).toBeLessThanOrEqual(1);
    expect(output.whole().toString()).toBe(lines.join('\n'));
  });

  it('has bounds: the first 8 MiB and the end stay, and a line says what is missing', () => {
    const whole = filled(...Array.from({ length: 20 }, () => Buffer.alloc(mib, 'x')), 'the end\n').whole();

    expect(whole.length).toBeLessThan(8.5 * mib);
    expect(whole.toString('latin1').slice(8 * mib)).toMatch(/^\n\[\.\.\. \d+ bytes left out \.\.\.\]\nx+the end\n$/);
  });
});

describe('an output in pieces', () => {
  it.each([1, 7, 65_536, 200_000, 300_000])('is the same in pieces of %i bytes', (size) => {
    const lines = Buffer.from(Array.from({ length: 30_000 }, (_, index) => `line ${index}`).join('\n'));
    const pieces = Array.from({ length: Math.ceil(lines.length / size) }, (_, index) => lines.subarray(index * size, (index + 1) * size));

    const output = filled();
    for (const piece of pieces) output.sink.write(piece);

    expect(output.whole().equals(lines)).toBe(true);
    expect(output.ends()).toEqual(filled(lines).ends());
  });
});

describe('a file for an output', () => {
  it('is refused past 256 MiB of them, and when the guest has no room', async () => {
    const sandbox = createFakeSandbox();
    const { signal } = new AbortController();
    const keep = createOutputFiles('/tmp/m');

    expect(await keep(sandbox, Buffer.alloc(255 * mib), signal)).toBe('/tmp/m-output-1.txt');
    expect(await keep(sandbox, Buffer.alloc(2 * mib), signal)).toBeNull();
    const full = { ...sandbox, put: () => Promise.reject(new FixError('guest_disk_full')) };
    expect(await keep(full, Buffer.from('x'), signal)).toBeNull();
  });
});

describe('a command that asks a person', () => {
  const run = async (said: string, { more = null as string | null } = {}): Promise<{ text: string; afterMs: number }> => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let afterMs = 0;
    const sandbox = createFakeSandbox({
      async exec(_argv, { stdout, signal }) {
        stdout?.write(said);
        if (more !== null) stdout?.write(more);
        while (afterMs < 60_000) {
          if (signal?.aborted === true) break;
          await vi.advanceTimersByTimeAsync(1000);
          afterMs += 1000;
        }
        return { ended: signal?.aborted === true ? 'cancelled' : 'timeout', exitCode: null, durationMs: afterMs };
      },
    });
    const { text } = await runCall({ id: '1', name: 'bash', input: { command: 'x' } }, aToolContext({ sandbox, commandTimeoutMs: 60_000 }));
    return { text, afterMs };
  };

  it.each([
    'Do you want to continue? [Y/n] ',
    'Overwrite? (y/N): ',
    'Is this OK? (yes) ',
    '\u001b[1mPassword:\u001b[0m ',
    'Enter passphrase for key "/home/agent/.ssh/id": ',
    'Press ENTER to continue',
    'Python 3.11\n>>> ',
    '> /workspace/a.py(1)<module>()\n(Pdb) ',
  ])('is ended with advice when nobody answers %j', async (said) => {
    const { text, afterMs } = await run(said);

    expect(afterMs).toBe(30_000);
    expect(text).toMatch(/stopped after 30 s: it waits for an answer, and there is nobody to give one\./);
  });

  it.each([
    ['a silent build', 'Compiling...\n'],
    ['a line without an end', 'running tests ... '],
    ['a question that is a whole line', 'Continue? [y/N]\n'],
    ['a word of it in the middle', 'checking the password store: ok'],
    ['nothing', ''],
  ])('is not mistaken: %s goes on', async (_title, said) => {
    expect((await run(said)).text).toMatch(/stopped after 60 s with everything/);
  });

  it('is not one when it goes on by itself', async () => {
    expect((await run('Proceed? [y/N] ', { more: 'y\nInstalling\n' })).text).toMatch(/stopped after 60 s with everything/);
  });
});
