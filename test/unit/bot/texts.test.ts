import { describe, expect, it } from 'vitest';
import { doneLines, endingReply, livingComment } from '../../../src/bot/comment-texts.ts';
import { besideBody } from '../../../src/bot/follow-texts.ts';
import { commitMessage, pullRequestBody, pullRequestTitle } from '../../../src/bot/pull-texts.ts';
import { sentence } from '../../../src/fix/outcome-text.ts';
import { proofCheck } from '../../../src/fix/proof-text.ts';
import { createReport } from '../../../src/fix/report.ts';
import type { Proof, TestRun } from '../../../src/job.ts';
import { nothingToRun } from '../../../src/proof/prove.ts';
import { refusedAttempt } from '../../support/egress-entry.ts';

const job = {
  runId: 'r00000000abcdefg',
  issue: { number: 7, title: 'add() forgets the second number', body: '' },
  actor: { id: 583_231, login: 'octocat' },
  trigger: { kind: 'label', label: 'mayfly' } as const,
};
const run = (exitCode: number): TestRun => ({
  command: 'npm test',
  exitCode,
  ended: 'exited',
  durationMs: 1234,
  output: 'not ok 1\n```\n@all <img>',
  results: null,
});
const proof: Proof = {
  ...nothingToRun,
  verdict: 'proven',
  reason: 'the tests fail without the patch and pass with it',
  source: 'package.json',
  base: run(1),
  patched: { ...run(0), results: { passed: 3, failed: 0, skipped: 1, failing: [] } },
  fixed: ['adds `both` numbers'],
  findings: ['The patch deletes the test file test/@all.js.'],
};

const how = { ci: 'hold', template: null, signs: true } as const;
const style = { kind: 'sentence', capital: true } as const;
const doneComment = (...parts: Parameters<typeof doneLines>): string => doneLines(...parts).join('\n');

describe('commitMessage', () => {
  it('ends with the trailer that holds workflows back, two empty lines before the trailers', () => {
    expect(commitMessage(job, 'hold')).toBe('Fix issue 7\n\n\nCo-authored-by: octocat <583231+octocat@users.noreply.github.com>\nskip-checks: true\n');
    expect(commitMessage(job, 'run')).not.toContain('skip-checks');
  });
});

describe('pullRequestBody', () => {
  it('says what the host saw, with the command and both exit codes', () => {
    const report = { ...createReport(job.runId), proof, resolves: true, summary: 'Adds both numbers. Closes #1 @all' };

    const body = pullRequestBody(job, report, how);

    expect(body).toContain('Closes #7');
    expect(body).toContain('**Proven: the tests fail without the patch and pass with it.**');
    expect(body).toContain('| base | 1 | - | 1.2 s |');
    expect(body).toContain('| base + patch | 0 | 3 passed, 0 failed, 1 skipped | 1.2 s |');
    expect(body).toContain('- ``adds `both` numbers``');
    expect(body).toContain('The patch deletes the test file');
    expect(body.replace(/<details>[^]*<\/details>/, '')).not.toMatch(/Closes #1\b|@all\b/);
  });

  it.for([
    [false, 'and no command had to run again'],
    [true, 'and its commands ran again on top of it'],
  ] as const)('says what was kept from an earlier run, and what that saved: again %s', ([again, words]) => {
    const template = { commit: 'abcdef0123'.repeat(4), again, readyMs: 1234, wholeMs: 41_000 };

    const said = `- The setup of \`abcdef0\` was kept from an earlier run, ${words}: the VM was ready to edit after 1.2 s instead of 41 s.\n`;

    expect(pullRequestBody(job, { ...createReport(job.runId), template }, how)).toContain(said);
    expect(doneComment({ ...createReport(job.runId), template }, { kind: 'no_change' }, 60_000, { pull: null })).toContain(said);
  });

  it('folds what the run could do, and would let the proof alone have what only the proof lacked', () => {
    const report = createReport(job.runId);
    report.grants = [{ name: 'hosts: proof', granted: 'none', by: 'allow.proof: default', beyond: null, phase: 'proof' }];
    report.egress.push({ ...refusedAttempt, vm: 'proof', phase: 'proof', host: 'registry.npmjs.org', wouldAllow: 'registry.npmjs.org' });

    const body = pullRequestBody(job, report, how);

    expect(body).toContain('<details><summary>What the run could do</summary>');
    expect(body).toContain('| hosts: proof | `none` | `allow.proof: default` | `registry.npmjs.org` |');
    expect(body).toContain('allow:\n  proof:\n    - registry.npmjs.org\n');
    expect(doneComment(report, { kind: 'no_change' })).toContain('| hosts: proof | `none` | `allow.proof: default` | `registry.npmjs.org` |');
  });

  it('gives no line of settings that the operator’s ceiling would take away, or that could not stand there, and says so', () => {
    const refused = { ...refusedAttempt, phase: 'setup' };
    const report = createReport(job.runId);
    report.egress.push({ ...refused, beyondCeiling: 'static.crates.io' });

    const alone = doneComment(report, { kind: 'no_change' });
    report.egress.push({ ...refused, beyondCeiling: 'example.org:8443' }, { ...refused, beyondCeiling: 'static.crates.io' });
    report.egress.push({ ...refused, wouldAllow: 'docs.example' }, { ...refused, wouldAllow: 'PROPFIND dav.example/a' });
    const beside = pullRequestBody(job, report, how);

    expect(alone).toContain(
      '<summary>Hosts that no settings can open</summary>\n\nThe operator of this installation does not allow `static.crates.io`; if you need it, ask for it to be added to `MAYFLY_ALLOWED_HOSTS`.\n',
    );
    expect(alone).not.toMatch(/allow:|mayfly\.yml/);
    expect(beside).toContain('allow:\n  - docs.example\n```\n');
    expect(beside).toContain(
      '\n\nThe operator of this installation does not allow `static.crates.io`, `example.org:8443`; if you need them, ask for them to be added to `MAYFLY_ALLOWED_HOSTS`.\n',
    );
    expect(beside).toContain('\nNo settings can allow `PROPFIND dav.example/a`: they take names of hosts, and the methods GET, HEAD,');
  });

  it('says so when the proof itself could not be made', () => {
    const report = {
      ...createReport(job.runId),
      proof: { ...nothingToRun, verdict: 'could_not_run', reason: 'the proof could not be made (setup_failed)' } as Proof,
    };

    expect(pullRequestBody(job, report, how)).toContain('**Not proven: the proof could not be made (setup_failed).**');
  });

  it('says that nothing was proven when there is no test command', () => {
    const report = { ...createReport(job.runId), proof: nothingToRun };

    expect(pullRequestBody(job, report, { ...how, ci: 'run' })).toContain('**Nothing was proven**');
  });
});

describe('every text with parts from outside', () => {
  const hostile = (length: number): string => '&'.repeat(length);
  const long: TestRun = { ...run(1), command: hostile(1000), output: hostile(8000) };
  const report = {
    ...createReport(job.runId),
    summary: hostile(5000),
    notes: Array.from({ length: 20 }, () => hostile(1000)),
    sensitive: Array.from({ length: 30 }, () => ({ path: hostile(300), why: hostile(400) })),
    context: Array.from({ length: 70 }, () => ({ item: hostile(100), source: hostile(200), trust: 'anyone' as const, characters: 1, hidden: 0 })),
    proof: { ...proof, base: long, tests: long, patched: long, findings: Array.from({ length: 20 }, () => hostile(1000)) },
  };
  const state = { id: job.runId, state: 'refused', at: '2026-01-02T03:04:05.000Z', ms: 1, pull: null, costUsd: 1 } as const;

  it.each([
    ['the body of a pull request', () => pullRequestBody(job, report, how)],
    ['the same beside somebody else’s', () => besideBody(job, report, 'hold')],
    ['the living comment', () => livingComment(doneLines(report, { kind: 'refused', reason: 'regressed' }), state, [state], new Date())],
    ['the check with the proof', () => proofCheck(report.proof).summary],
  ])('fits into what GitHub takes, and keeps what it is found by: %s', (_what, make) => {
    const text = make();

    expect(text.length).toBeLessThanOrEqual(65_535);
    expect(text).toMatch(/^<!-- mayfly:[^]*<sub>run r00000000abcdefg<\/sub>|Proven/);
  });
});

describe('comments', () => {
  it('say the outcome in one sentence, and what it cost', () => {
    const report = { ...createReport(job.runId), costUsd: null };

    const comment = doneComment(report, { kind: 'gave_up', limit: 'steps' });

    expect(comment).toContain('**Mayfly: gave up.** The run reached a limit (the number of steps) before it was finished.');
    expect(comment).toContain('price not known');
  });

  it('tell which setup command failed, whatever it is made of', () => {
    const report = { ...createReport(job.runId), notes: ['The setup command "npm ci @all <img>" ended with exit code 1.'] };

    const comment = doneComment(report, { kind: 'failed', code: 'setup_failed' });

    expect(comment).toContain('ended with exit code 1');
    expect(comment).not.toMatch(/@all|<img/);
  });

  it('say why nothing was changed, in the words of the agent', () => {
    const report = { ...createReport(job.runId), summary: 'It works as meant.\n\nSee @docs.' };

    expect(doneComment(report, { kind: 'no_change' })).toContain('> It works as meant.\n> \n> See @\u200bdocs.');
  });

  it('do not promise another try after the last one', () => {
    expect(endingReply(job, { kind: 'failed', code: 'sandbox_lost' })).toMatch(/It was tried several times\.$/);
    expect(endingReply(job, { kind: 'failed', code: 'sandbox_lost' })).not.toContain('will be tried again');
  });

  it('name the person who asked, so that the ending notifies them', () => {
    expect(endingReply(job, { kind: 'no_change' })).toMatch(/^@octocat The run ended without a change/);
  });

  it('call nobody when a run that nobody asked for is not needed any more', () => {
    const byItself = { ...job, trigger: { kind: 'event', name: 'checks' } as const };

    expect(endingReply(byItself, { kind: 'refused', reason: 'checks_not_ours' })).toMatch(/^Not done: what still fails/);
    expect(endingReply(byItself, { kind: 'gave_up', limit: 'steps' })).toMatch(/^@octocat /);
  });

  it('say that nothing has run on a commit that holds workflows back', () => {
    const pullRequest = { number: 9, url: '', title: '', draft: true, branch: 'feature', headSha: 'a'.repeat(40) };

    expect(sentence({ kind: 'pushed', pullRequest, held: true })).toContain('`/agent ci`');
    expect(sentence({ kind: 'pushed', pullRequest, held: false })).toBe('Commit aaaaaaa is on the branch of pull request #9.');
  });

  it.each([
    [{ kind: 'stopped', reason: 'silent' }, 'stopped without a change'],
    [{ kind: 'stopped', reason: 'cut' }, 'too long and were cut off'],
    [{ kind: 'stopped', reason: 'refusal' }, 'refused to go on'],
    [{ kind: 'stopped', reason: 'loop' }, 'round in circles'],
    [{ kind: 'stopped', reason: 'too_long' }, 'does not read as much'],
    [{ kind: 'gave_up', limit: 'malformed_calls' }, 'could not be understood'],
    [{ kind: 'failed', code: 'model_busy' }, 'turned every request away'],
    [{ kind: 'failed', code: 'model_unavailable' }, 'The model does not answer'],
    [{ kind: 'failed', code: 'model_reply_endless' }, 'did not bring a reply to its end'],
    [{ kind: 'failed', code: 'model_refused' }, 'The model vendor refused the request'],
  ] as const)('tell %j in words of its own', (outcome, words) => {
    expect(endingReply(job, outcome)).toContain(words);
  });

  it('say which budget is spent, when it begins anew, and who can change it', () => {
    expect(endingReply(job, { kind: 'gave_up', limit: 'daily_budget', budget: { scope: 'repository', unit: 'usd', limit: 25 } })).toBe(
      "@octocat The run used up what was left of today's budget of this repository (25 USD) before it was finished. That budget begins anew at 00:00 UTC; comment `/agent retry` then. The operator sets it with `MAYFLY_DAILY_COST_USD_PER_REPOSITORY`.",
    );
    expect(sentence({ kind: 'gave_up', limit: 'daily_budget', budget: { scope: 'installation', unit: 'tokens', limit: 4_000_000 } })).toMatch(
      /used up what was left of today's budget of this installation \(4,000,000 tokens\) .* `MAYFLY_DAILY_TOKENS_PER_INSTALLATION`/,
    );
  });

  it('say which model did what, and whose price it was', () => {
    const usage = { inputTokens: 1000, outputTokens: 200, cachedInputTokens: 0 };
    const first = { name: 'anthropic/a', price: 'list price of 2025-12', steps: 3, usage, costUsd: 0.5 };
    const second = { name: 'compatible/b', price: null, steps: 1, usage, costUsd: null };

    expect(doneComment({ ...createReport(job.runId), models: [first] }, { kind: 'patched' })).toContain('Model: `anthropic/a` (list price of 2025-12).');
    expect(doneComment({ ...createReport(job.runId), models: [first, second] }, { kind: 'patched' })).toContain(
      'Models: `anthropic/a` (3 steps, 1,200 tokens, 0.50 USD; list price of 2025-12), then `compatible/b` (1 step, 1,200 tokens, price not known, so only tokens are counted), because the first one did not answer.',
    );
  });

  it('have a title that mentions nobody', () => {
    expect(pullRequestTitle({ issue: { ...job.issue, title: 'ping @all\nnow' } }, createReport(job.runId), style)).toBe('Work on #7: ping @\u200ball now');
  });
});
