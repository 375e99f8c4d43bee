import { describe, expect, it } from 'vitest';
import { createBriefing } from '../../../src/agent/prompt.ts';
import { makeTask } from '../../../src/fix/agent-task.ts';
import type { AskedIssue, Machine } from '../../../src/fix/agent-task.ts';
import type { Plan } from '../../../src/fix/plan.ts';
import { barePlan } from '../../support/plan.ts';

const issue: AskedIssue = { title: 'Crash', body: 'It crashes.', instruction: null, conversation: null };
const plan: Plan = { ...barePlan, map: '1 files' };
const machine: Machine = {
  info: { provider: 'qemu', accel: 'kvm', isolation: 'hardware', networkCards: 0, restored: true, pooled: false, bootMs: 1 },
  node: { version: '26.10.0', remark: null },
  packages: [],
  tests: null,
};
const remarks = (changes: Partial<Plan>, more: Partial<AskedIssue> = {}): readonly string[] =>
  makeTask({ ...issue, ...more }, { ...plan, ...changes }, machine).remarks;

describe('makeTask', () => {
  it('says in one line each what the machine has, what it reaches, and what time it is there', () => {
    expect(remarks({})).toEqual([
      'The machine is Debian 12 with Node 26.10.0, Python 3.11, gcc 12, make, git and ripgrep.',
      'Time zone: UTC, locale: C.UTF-8; the tests are judged in the same. Your commands may set TZ and LANG to others.',
    ]);
    expect(makeTask(issue, plan, { ...machine, packages: ['golang-go'] }).remarks[0]).toMatch(/ripgrep, and also golang-go\.$/);
    expect(remarks({ environment: { TZ: 'Asia/Kolkata', LANG: 'de_DE.UTF-8' } })[1]).toMatch(/^Time zone: Asia\/Kolkata, locale: de_DE\.UTF-8;/);
  });

  it.each([
    [['registry.npmjs.org'], 'npm reaches its registry, pip does not.'],
    [['pypi.org', 'files.pythonhosted.org'], 'pip reaches its registry, npm does not.'],
    [['pypi.org'], 'npm and pip reach no registry now: what setup installed is what there is.'],
    [['pypi.org', 'files.pythonhosted.org', 'registry.npmjs.org'], 'npm and pip reach their registries; pip, and npm install -g, need no root.'],
  ])('knows who reaches a registry by %j', (agent, line) => {
    expect(remarks({ allow: { setup: [], agent, proof: [] } })).toContain(line);
  });

  it('says once that there is no network', () => {
    const limits = { steps: 1, softTimeMs: 1, commandTimeoutMs: 1, longestMs: 1, windowTokens: 100_000 };
    const { text } = createBriefing(makeTask(issue, plan, machine), limits);

    expect(text.match(/network|registry|what setup installed/gi)).toEqual(['Network', 'what setup installed']);
  });

  it('says which comments are not shown', () => {
    const conversation = { comments: [], leftOut: { editedSince: 1, withoutWriteAccess: 12, forLength: 0 } };

    expect(remarks({}, { conversation })[0]).toBe(
      'Comments on the issue that are not shown: 12 of people without write access, 1 that were changed after the run was asked for.',
    );
  });
});
