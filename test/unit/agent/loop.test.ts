import { describe, expect, it } from 'vitest';
import { FixError } from '../../../src/errors.ts';
import { createFakeSandbox } from '../../support/fake-sandbox.ts';
import { different, handIn, lastMessages, listing, play, resultTexts } from '../../support/play-agent.ts';
import { aSubmission, calls } from '../../support/scripted-model.ts';

describe('solve', () => {
  it('asks, acts and ends with what was submitted', async () => {
    const { model, attempt } = play([listing, handIn], { sandbox: createFakeSandbox({ exec: (argv) => (argv[4] === 'ls' ? { stdout: 'a.js\n' } : {}) }) });

    expect(await attempt).toEqual({
      ended: { kind: 'submitted', submission: { ...aSubmission, replies: [] } },
      steps: 2,
      usage: { inputTokens: 200, outputTokens: 20, cachedInputTokens: 0 },
      costUsd: null,
    });
    expect(resultTexts(model.questions[1])).toEqual(['a.js\n[exit code 0, 0 s]']);
  });

  it('adds up what it costs', async () => {
    expect((await play([listing, handIn], { usdPerToken: 0.001 }).attempt).costUsd).toBeCloseTo(0.22);
  });

  it('writes everything to the transcript before the next question', async () => {
    const seen: number[] = [];
    const { records, attempt } = play([() => (seen.push(records.length), listing), () => (seen.push(records.length), handIn)]);

    await attempt;

    expect(records.map((record) => [record['kind'], record['role']])).toEqual([
      ['start', undefined],
      ['message', 'user'],
      ['message', 'assistant'],
      ['message', 'tool'],
      ['message', 'assistant'],
      ['message', 'tool'],
      ['end', undefined],
    ]);
    expect(seen).toEqual([2, 4]);
    expect(records[2]).toMatchObject({ step: 1, usage: { inputTokens: 100 }, stop: 'tools', toolCalls: [{ name: 'bash' }] });
  });

  it('writes down what it worked with, how each call ended, and what ended the run', async () => {
    const sandbox = createFakeSandbox({ exec: (argv) => (argv[4] === 'ls' ? { exitCode: 2, durationMs: 1200 } : {}) });
    const { records, attempt } = play([listing, handIn], { sandbox });
    await attempt;

    expect(records[0]).toMatchObject({
      kind: 'start',
      runId: 'r00000000aaaaaaa',
      baseSha: 'b'.repeat(40),
      sandbox: { provider: 'fake' },
      model: 'scripted/model',
      tools: ['bash', 'read', 'edit', 'submit'],
    });
    expect(records[3]).toMatchObject({ role: 'tool', results: [{ name: 'bash', exitCode: 2, durationMs: 1200 }] });
    expect(records.at(-1)).toMatchObject({ kind: 'end', ended: { kind: 'submitted', submission: { summary: 'Fixed.' } }, steps: 2 });
  });

  it('writes down which failure ended it', async () => {
    const { records, attempt } = play([listing, () => Promise.reject(new FixError('model_unavailable'))]);
    await attempt.catch(() => {});

    expect(records.at(-1)).toMatchObject({ kind: 'end', ended: { kind: 'failed', code: 'model_unavailable' }, steps: 1 });
  });

  it('tells people one clean line a step', async () => {
    const lines: string[] = [];
    await play([calls(['bash', { command: 'npm\n\u001b[31m test \u202e' }], ['read', { path: 'a.js' }]), handIn], {
      onStep: (step) => lines.push(`${step.number} ${step.line}`),
    }).attempt;

    expect(lines).toEqual(['1 bash npm test (and 1 more)', '2 submit Fixed.']);
  });

  it('hands the vendor its own form of a reply back, and keeps it out of the transcript', async () => {
    const { model, records, attempt } = play([{ ...listing, continuation: ['signed'] }, handIn]);

    await attempt;

    expect(model.questions[1]?.messages[1]).toMatchObject({ role: 'assistant', continuation: ['signed'] });
    expect(JSON.stringify(records)).not.toContain('signed');
  });
});

describe('a stop from outside', () => {
  it('is a failure named cancelled, whatever the reason was', async () => {
    const controller = new AbortController();
    const { attempt } = play([() => (controller.abort('user asked'), listing)], { signal: controller.signal });

    await expect(attempt).rejects.toMatchObject({ name: 'FixError', code: 'cancelled' });
  });

  it('is told from a lost VM', async () => {
    const sandbox = createFakeSandbox();
    const { attempt } = play([() => (sandbox.lose(), listing)], { sandbox });

    await expect(attempt).rejects.toMatchObject({ code: 'sandbox_lost' });
  });

  it('lets what the model throws pass', async () => {
    const { attempt } = play([() => Promise.reject(new FixError('model_unavailable'))]);

    await expect(attempt).rejects.toMatchObject({ code: 'model_unavailable' });
  });
});

describe('a model that does not behave', () => {
  it('is taught by a malformed call and may go on', async () => {
    const { model, attempt } = play([calls(['bash', { cmd: 'ls' }]), calls(['bash', '{"command": "l']), listing, handIn]);

    expect(await attempt).toMatchObject({ ended: { kind: 'submitted' } });
    expect(resultTexts(model.questions[2])).toEqual([
      expect.stringMatching(/bash was not run[\s\S]*command/),
      expect.stringContaining('not valid JSON; it begins with: {"command": "l'),
    ]);
  });

  it('is stopped at the third malformed call in a row', async () => {
    const wrong = [calls(['bash', {}]), calls(['launch', {}]), calls(['read', { path: 7 }])];

    expect(await play(wrong).attempt).toMatchObject({ ended: { kind: 'limit', limit: 'malformed_calls' }, steps: 3 });
  });

  it('is told which tools there are', async () => {
    const { model, attempt } = play([calls(['rm -rf\n', {}]), handIn]);

    await attempt;

    expect(resultTexts(model.questions[1])[0]).toBe('There is no tool named "rm -rf\\n". The tools are: bash, read, edit, submit.');
  });

  it.each([
    ['a NUL in a path', ['read', { path: 'a\0b' }]],
    ['an argument of 5 MB', ['bash', { command: 'x'.repeat(5e6) }]],
    ['an unknown field', ['edit', { path: 'a', old: 'b', new: 'c', user: 'root' }]],
    ['no object', ['submit', null]],
    ['a list', ['bash', ['ls']]],
    ['a field of the prototype', ['constructor', {}]],
  ] as const)('gets an answer of bounded size to %s', async (_title, call) => {
    const { model, attempt } = play([calls([call[0], call[1]]), handIn]);

    expect(await attempt).toMatchObject({ ended: { kind: 'submitted' } });
    expect(resultTexts(model.questions[1])[0]?.length).toBeLessThan(1500);
  });

  it('gets 8 of 500 calls run and an answer to every one', async () => {
    const sandbox = createFakeSandbox();
    const many = calls(...Array.from({ length: 500 }, (_, index) => ['bash', { command: `echo ${index}` }] as const));
    const { model, attempt } = play([many, handIn], { sandbox });

    await attempt;

    const results = resultTexts(model.questions[1]);
    expect(results).toHaveLength(500);
    expect(results.filter((text) => text.startsWith('Not run'))).toHaveLength(492);
    expect(sandbox.executed.filter((argv) => argv[4]?.startsWith('echo'))).toHaveLength(8);
  });

  it('takes no work that is handed in beside a call that failed', async () => {
    const failedEdit = calls(['edit', { path: 'a.js', old: 'not there', new: 'x' }], ['bash', { command: 'npm test' }], ['submit', aSubmission]);
    const redTests = calls(['bash', { command: 'npm test' }], ['submit', aSubmission]);
    const sandbox = createFakeSandbox({ exec: (argv) => ({ stdout: 'text', exitCode: argv[4] === 'npm test' ? 1 : 0 }) });
    const { model, attempt } = play([failedEdit, redTests, handIn], { sandbox });

    expect(await attempt).toMatchObject({ ended: { kind: 'submitted' }, steps: 3 });
    expect(resultTexts(model.questions[1])).toEqual([
      expect.stringContaining('does not exist'),
      'Not run: an edit before it in the same reply failed.',
      expect.stringMatching(/^Not submitted: /),
    ]);
    expect(resultTexts(model.questions[2]).at(-1)).toMatch(/^Not submitted: /);
  });

  it('is told when it makes the same call three times in a row', async () => {
    const { model, attempt } = play([listing, listing, different(1), listing, listing, listing, handIn]);

    await attempt;

    expect(resultTexts(model.questions[6]).map((text) => text.includes('several times in a row'))).toEqual([false, false, false, false, false, true]);
  });

  it('is reminded twice how to hand in, then the run ends', async () => {
    const { model, attempt } = play([{ text: 'All done!' }, { text: '' }, { text: 'Really.' }]);

    expect(await attempt).toMatchObject({ ended: { kind: 'stopped' }, steps: 3 });
    expect(lastMessages(model.questions[2])).toMatchObject([{ role: 'user', text: expect.stringContaining('call submit') }]);
  });

  it('may fall silent again later', async () => {
    expect(await play([{ text: 'a' }, { text: 'b' }, listing, { text: 'c' }, { text: 'd' }, handIn]).attempt).toMatchObject({ ended: { kind: 'submitted' } });
  });

  it('is told when its reply was cut', async () => {
    const { model, attempt } = play([{ text: 'long', stop: 'length' }, { ...calls(['bash', '{"comma']), stop: 'length' }, handIn]);

    await attempt;

    expect(lastMessages(model.questions[1])).toMatchObject([{ role: 'user', text: expect.stringContaining('cut off') }]);
    expect(lastMessages(model.questions[2], 2)).toMatchObject([{ role: 'tool' }, { role: 'user', text: expect.stringContaining('cut off') }]);
  });

  it('ends the run by refusing', async () => {
    expect(await play([{ text: 'I will not.', stop: 'refusal' }]).attempt).toMatchObject({ ended: { kind: 'stopped' }, steps: 1 });
  });

  it('cannot act after it has submitted', async () => {
    const sandbox = createFakeSandbox();
    const { attempt } = play([calls(['submit', aSubmission], ['bash', { command: 'rm -r .' }])], { sandbox });

    expect(await attempt).toMatchObject({ ended: { kind: 'submitted' } });
    expect(sandbox.executed.some((argv) => argv[4] === 'rm -r .')).toBe(false);
  });
});
