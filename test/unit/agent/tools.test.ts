import { describe, expect, it } from 'vitest';
import type { ToolContext } from '../../../src/agent/tool.ts';
import { z } from 'zod';
import { runCall, specsFor } from '../../../src/agent/tools.ts';
import { FixError } from '../../../src/errors.ts';
import type { ExecOptions, ExecResult } from '../../../src/sandbox/sandbox.ts';
import { createFakeSandbox } from '../../support/fake-sandbox.ts';
import type { FakeSandbox } from '../../support/fake-sandbox.ts';
import { aToolContext } from '../../support/play-agent.ts';
import { aSubmission } from '../../support/scripted-model.ts';

function aContext(sandbox: FakeSandbox): ToolContext {
  return aToolContext({ sandbox, commandTimeoutMs: 10_000, startCommit: 'a'.repeat(40) });
}

async function use(name: string, input: unknown, sandbox = createFakeSandbox()): ReturnType<typeof runCall> {
  return await runCall({ id: '1', name, input }, aContext(sandbox));
}

const file = ['function add(a, b) {', '  return a - b;', '}', '', 'module.exports = { add };', ''].join('\n');
const withFile = (content: string | Uint8Array = file): FakeSandbox => createFakeSandbox({ files: { '/workspace/add.js': content } });

describe('bash', () => {
  it.each<[string, Partial<ExecResult>, string]>([
    ['an exit code', { exitCode: 2, stdout: 'no\n', durationMs: 1234 }, 'no\n[exit code 2, 1.2 s]'],
    ['nothing', {}, '(no output)\n[exit code 0, 0 s]'],
    ['a signal', { exitCode: null, signal: 'SIGSEGV' }, '(no output)\n[ended by SIGSEGV, 0 s]'],
    ['a cancel', { exitCode: null, ended: 'cancelled' }, '(no output)\n[stopped: the run is ending]'],
  ])('tells of %s', async (_title, result, text) => {
    expect(await use('bash', { command: 'x' }, createFakeSandbox({ exec: () => result }))).toMatchObject({ text, failed: false });
  });

  it('says after a timeout what may be done', async () => {
    const { text } = await use('bash', { command: 'x' }, createFakeSandbox({ exec: () => ({ ended: 'timeout', exitCode: null, stdout: 'half' }) }));

    expect(text).toMatch(/^half\n\[stopped after 10 s with everything it had started.*wait for input.*background: true.*timeoutSeconds \(at most 60\)\]$/);
  });

  it.each([
    [undefined, 10_000],
    [3, 3000],
    [40, 40_000],
    [1e9, 60_000],
  ])('takes a time limit of %s seconds as %i ms', async (timeoutSeconds, timeoutMs) => {
    const seen: ExecOptions[] = [];
    await use('bash', { command: 'x', timeoutSeconds }, createFakeSandbox({ exec: (_argv, options) => (seen.push(options), {}) }));

    expect(seen[0]?.timeoutMs).toBe(timeoutMs);
  });

  it('never takes more time than the run has left, and keeps a moment to hand in', async () => {
    const seen: ExecOptions[] = [];
    const sandbox = createFakeSandbox({ exec: (_argv, options) => (seen.push(options), { ended: 'timeout', exitCode: null }) });
    const context = aToolContext({ sandbox, commandTimeoutMs: 10_000, leftMs: () => 35_000 });

    const { text } = await runCall({ id: '1', name: 'bash', input: { command: 'x', timeoutSeconds: 60 } }, context);

    expect(seen[0]?.timeoutMs).toBe(5000);
    expect(text).toContain('at most 5)');
  });

  it('passes the command as an argument, whatever it holds', async () => {
    const sandbox = createFakeSandbox();
    await use('bash', { command: `echo "'$(id)"` }, sandbox);

    expect(sandbox.executed[0]?.slice(3)).toEqual(['bash', `echo "'$(id)"`, '/tmp/mayfly-test-shell']);
  });

  it('shortens long output in the middle', async () => {
    const { text } = await use('bash', { command: 'x' }, createFakeSandbox({ exec: () => ({ stdout: 'word\n'.repeat(50_000) }) }));

    expect(text.length).toBeLessThan(17_000);
    expect(text).toMatch(/\[\.\.\. \d+ lines \(\d+ characters\) left out \.\.\.\]/);
  });
});

describe('read', () => {
  it('numbers the lines of a range', async () => {
    expect((await use('read', { path: 'add.js', from: 2, to: 3 }, withFile())).text).toBe('add.js, lines 2 to 3 of 5:\n2|  return a - b;\n3|}');
  });

  it('goes to the end when the range goes beyond it', async () => {
    expect((await use('read', { path: '/workspace/add.js', from: 5, to: 99 }, withFile())).text).toContain('lines 5 to 5 of 5');
  });

  it.each([
    ['a missing file', 'none.js', file, /does not exist.*git ls-files/],
    ['a binary file', 'add.js', new Uint8Array([1, 0, 2]), /binary file \(3 bytes\)/],
    ['a file in another encoding', 'add.js', new Uint8Array([0xe9, 0x74, 0xe9]), /not UTF-8/],
    ['a large file', 'add.js', new Uint8Array(1024 * 1024 + 1), /larger than 1 MiB.*sed/],
  ])('teaches about %s', async (_title, path, content, text) => {
    expect(await use('read', { path }, withFile(content))).toEqual({ text: expect.stringMatching(text), failed: true });
  });

  it('teaches about a range that shows nothing', async () => {
    expect((await use('read', { path: 'add.js', from: 9 }, withFile())).text).toBe('add.js has 5 lines; the range 9 to end shows none of them.');
  });

  it('lets a lost VM pass', async () => {
    const sandbox = withFile();
    const broken = { ...sandbox, get: () => Promise.reject(new FixError('sandbox_lost')) };

    await expect(runCall({ id: '1', name: 'read', input: { path: 'add.js' } }, aContext(broken))).rejects.toMatchObject({ code: 'sandbox_lost' });
  });
});

describe('edit', () => {
  const change = { path: 'add.js', old: 'a - b', new: 'a + b' };

  it('replaces what occurs once and shows the lines around', async () => {
    const sandbox = withFile();
    const { text, failed } = await use('edit', change, sandbox);

    expect(failed).toBe(false);
    expect(text).toBe('add.js now reads:\n1|function add(a, b) {\n2|  return a + b;\n3|}\n4|\n5|module.exports = { add };');
    expect(sandbox.text('/workspace/add.js')).toBe(file.replace('a - b', 'a + b'));
  });

  it('takes the new text literally', async () => {
    const sandbox = withFile();
    await use('edit', { ...change, new: "$& $1 $' $$" }, sandbox);

    expect(sandbox.text('/workspace/add.js')).toContain("return $& $1 $' $$;");
  });

  it('follows a link, so that the link stays', async () => {
    const sandbox = createFakeSandbox({
      files: { '/workspace/real.js': file },
      exec: (argv) => (argv[0] === 'realpath' ? { stdout: '/workspace/real.js\0' } : {}),
    });
    await use('edit', { ...change, path: 'link.js' }, sandbox);

    expect([...sandbox.files.keys()]).toEqual(['/workspace/real.js']);
    expect(sandbox.text('/workspace/real.js')).toContain('a + b');
  });

  it('keeps Windows line ends', async () => {
    const sandbox = withFile('one\r\ntwo\r\nthree\r\n');
    await use('edit', { path: 'add.js', old: 'one\ntwo', new: 'one\n2' }, sandbox);

    expect(sandbox.text('/workspace/add.js')).toBe('one\r\n2\r\nthree\r\n');
  });

  it('keeps a byte order mark', async () => {
    const sandbox = withFile('\ufeffa - b');
    await use('edit', change, sandbox);

    expect(sandbox.text('/workspace/add.js')).toBe('\ufeffa + b');
  });

  it('creates a file that does not exist', async () => {
    const sandbox = createFakeSandbox();
    await use('edit', { path: 'test/new.js', old: '', new: 'x\n' }, sandbox);

    expect(sandbox.text('/workspace/test/new.js')).toBe('x\n');
  });

  it.each([
    ['a text with other white space', { ...change, old: 'function add(a,b)\n{' }, /not in add\.js\. The nearest lines are:\n1\|function add/],
    [
      'a text with other indentation',
      { ...change, old: '\treturn a - b;' },
      /The same words are here, but line 2 begins with 2 spaces, and in old with 1 tab:\n1\|[\s\S]*2\| {2}return a - b;/,
    ],
    ['a part of a line with other white space', { ...change, old: 'a-b' }, /The same words are here with other white space[\s\S]*2\| {2}return a - b;/],
    ['a text that is not there', { ...change, old: 'zzzzzzzz' }, /Nothing in the file is like it/],
    ['white space only', { ...change, old: '\n\n\n' }, /only white space/],
    ['a text that is there twice', { ...change, old: 'add' }, /2 times in add\.js, at lines 1, 5\./],
    ['no change', { ...change, new: change.old }, /are the same/],
    ['an empty old for a file that exists', { ...change, old: '' }, /exists already/],
    ['a file that does not exist', { ...change, path: 'none.js' }, /does not exist.*empty old/],
  ])('teaches about %s, and changes nothing', async (_title, input, text) => {
    const sandbox = withFile();

    expect(await use('edit', input, sandbox)).toEqual({ text: expect.stringMatching(text), failed: true });
    expect(sandbox.text('/workspace/add.js')).toBe(file);
  });
});

describe('submit', () => {
  it('hands in', async () => {
    expect(await use('submit', aSubmission)).toMatchObject({ submission: aSubmission, failed: false });
  });

  it('refuses politely when nothing was changed', async () => {
    const untouched = createFakeSandbox({ exec: () => ({ stdout: '' }) });
    const { text, submission } = await use('submit', aSubmission, untouched);

    expect(submission).toBeUndefined();
    expect(text).toContain('noChange');
  });

  it('takes no change with a reason', async () => {
    const untouched = createFakeSandbox({ exec: () => ({ stdout: '' }) });

    expect(await use('submit', { ...aSubmission, files: [], noChange: true }, untouched)).toMatchObject({ submission: { summary: 'Fixed.' } });
  });

  it('lets a submission through when git cannot tell', async () => {
    const broken = createFakeSandbox({ exec: () => ({ exitCode: 128, stdout: '' }) });

    expect(await use('submit', aSubmission, broken)).toHaveProperty('submission');
  });

  it('caps the summary', async () => {
    expect((await use('submit', { ...aSubmission, summary: 'x'.repeat(20_000) })).submission?.summary).toHaveLength(8000);
  });
});

describe('what the model is shown', () => {
  it('asks for answers to a review only where there is one', () => {
    const fields = (reviewed: boolean): readonly string[] => {
      const schema = specsFor({ reviewed }).find(({ name }) => name === 'submit')?.input;
      return Object.keys(schema instanceof z.ZodObject ? schema.shape : {});
    };

    expect(fields(false)).toEqual(['summary', 'files', 'testCommand', 'resolves', 'noChange']);
    expect(fields(true)).toEqual(['summary', 'files', 'testCommand', 'replies', 'resolves', 'noChange']);
  });
});
