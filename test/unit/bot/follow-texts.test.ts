import { describe, expect, it } from 'vitest';
import { clipLog, classifyCheck } from '../../../src/bot/classify-checks.ts';
import { followMessage, readTrailers, withLatest } from '../../../src/bot/follow-texts.ts';
import { createReport } from '../../../src/fix/report.ts';

const actor = { id: 31, login: 'ada' };
const runId = 'r00000000aaaaaaa';

describe('the message of a commit on a pull request', () => {
  it('holds workflows by its last line, and says who asked in which run', () => {
    const message = followMessage({ actor, runId }, { subject: 'Do it', ci: 'hold', repair: 2 });

    expect(message.split('\n').slice(0, 3)).toEqual(['Do it', '', '']);
    expect(readTrailers(message)).toEqual({ runId, repair: 2, held: true, actor });
    expect(readTrailers(followMessage({ actor, runId: null }, { subject: 'Do it', ci: 'run' }))).toEqual({ runId: null, repair: 0, held: false, actor });
  });

  it('of somebody else says nothing', () => {
    expect(readTrailers('skip-checks: true\nMayfly-repair: 12\n\nwords')).toEqual({ runId: null, repair: 0, held: false, actor: null });
  });
});

describe('the text of a pull request', () => {
  const add = (body: string, headSha: string): string => withLatest(body, { job: { actor, runId }, report: createReport(runId), headSha }) ?? '';

  it('tells of the newest commit in the place of the one before; what stands around it stays', () => {
    const first = add('Closes #7\n\nWords of ours.', 'a'.repeat(40));
    const edited = first.replace('Words of ours.', 'Words of a person.') + 'More of them.';
    const second = add(edited, 'b'.repeat(40));

    expect(first).toMatch(/^Closes #7\n\nWords of ours\.\n\n<!-- mayfly:latest -->\n## Commit aaaaaaa\n/);
    expect(second).toMatch(/^Closes #7\n\nWords of a person\.\n\n<!-- mayfly:latest -->\n## Commit bbbbbbb\n[^]*<!-- mayfly:latest end -->\nMore of them\.$/);
    expect(second).not.toContain('Commit aaaaaaa');
  });

  it('is left as it is when there is no room', () => {
    expect(withLatest('x'.repeat(65_500), { job: { actor, runId }, report: createReport(runId), headSha: 'a'.repeat(40) })).toBeNull();
  });
});

describe('why a check failed', () => {
  const run = (conclusion: string, name = 'build') => ({ id: 1, name, conclusion, actions: true });

  it.each([
    ['ours', run('failure'), 'AssertionError', []],
    ['infrastructure', run('timed_out'), 'AssertionError', []],
    ['infrastructure', run('failure'), 'npm error code ECONNRESET', []],
    ['ours', run('failure'), `ECONNRESET${' '.repeat(7000)}AssertionError`, []],
    ['base', run('failure'), 'AssertionError', [run('failure')]],
    ['ours', run('failure'), 'AssertionError', [run('failure', 'lint'), run('success')]],
    ['unreadable', run('failure'), null, []],
  ] as const)('%s', (cause, failed, log, base) => {
    expect(classifyCheck(failed, log, base)).toBe(cause);
  });

  it('is looked for at the end of a log without its times', () => {
    expect(clipLog('\uFEFF2026-01-02T03:04:05.1234567Z one\n2026-01-02T03:04:05.1234567Z two\n', 100)).toBe('one\ntwo');
    expect(clipLog(`${'x'.repeat(100)}end`, 10)).toBe('[... the beginning is left out ...]\nxxxxxxxend');
  });
});
