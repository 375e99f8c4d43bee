/** Test 21 of the list of attacks: whatever a model, a VM or an outsider wrote, nothing of it acts in what we publish. */
import { describe, expect, it } from 'vitest';
import { doneLines, endingReply, livingComment, runningLines } from '../../../src/bot/comment-texts.ts';
import { createProgress } from '../../../src/bot/progress.ts';
import { commitMessage, pullRequestBody, pullRequestTitle } from '../../../src/bot/pull-texts.ts';
import { proofCheck } from '../../../src/fix/proof-text.ts';
import { createReport } from '../../../src/fix/report.ts';
import type { RunReport } from '../../../src/fix/report.ts';
import { findTitleStyle } from '../../../src/fix/title-style.ts';
import { parseTemplate } from '../../../src/fix/pull-template.ts';
import type { FixOutcome, Proof, TestRun } from '../../../src/job.ts';
import { nothingToRun } from '../../../src/proof/prove.ts';
import { aJob } from '../../support/jobs.ts';
import { marked } from 'marked';

const attack =
  '![x](https://evil.example/?d=1) <img src="https://evil.example"> <a href="https://evil.example">y</a> [z](https://evil.example) ' +
  'https://evil.example www.evil.example @octocat fixes #99 closes: GH-98 resolves acme/other#97 <!-- hidden </details> </summary> | a | ``` ` ~~~ [^1] \n\n' +
  '# Approved\n\nCo-authored-by: x <x@evil.example>\n\n| a |\n| - |\n';

const run: TestRun = {
  command: attack,
  exitCode: 1,
  ended: 'exited',
  durationMs: 1,
  output: attack,
  results: { passed: 1, failed: 1, skipped: 0, failing: [attack] },
};
const proof: Proof = {
  ...nothingToRun,
  verdict: 'regressed',
  reason: 'tests that pass without the patch fail with it',
  source: attack,
  base: run,
  tests: run,
  patched: run,
  fixed: [attack],
  broken: [attack],
  flaky: [attack],
  findings: [attack],
};
const job = { ...aJob(), issue: { number: 7, title: attack, body: attack } };
const report: RunReport = {
  ...createReport(job.runId),
  summary: attack,
  resolves: true,
  proof,
  sensitive: [{ path: attack, why: attack }],
  notes: [attack],
  context: [{ item: attack, source: attack, trust: 'anyone', characters: 1, hidden: 0 }],
  egress: [
    {
      at: '',
      phase: 'agent',
      method: 'GET',
      host: attack,
      port: 443,
      path: null,
      decision: 'refused',
      rule: 'not on the list',
      wouldAllow: attack,
      beyondCeiling: null,
      bytesIn: 0,
      bytesOut: 0,
      vm: 'agent',
    },
  ],
  models: [{ name: attack, price: null, steps: 1, usage: { inputTokens: 1, outputTokens: 1, cachedInputTokens: 0 }, costUsd: null }],
  patch: { baseSha: '', files: [{ path: attack, change: { kind: 'delete' } }] },
  heldBranch: 'mayfly/issue-7-held',
};
const template = parseTemplate(`## Summary ${attack.replaceAll('\n', ' ')}\n- [ ] ${attack.replaceAll('\n', ' ')}\n## x\n`);

function comment(outcome: FixOutcome): string {
  const own = { id: job.runId, state: 'done', at: job.requestedAt, ms: 1, pull: null, costUsd: null } as const;
  return livingComment(doneLines(report, outcome, 1000), own, [own], new Date());
}

function running(): string {
  const progress = createProgress('Draft pull request');
  progress.event({ kind: 'started', phase: 'solve', vm: 'agent' });
  for (const line of [`bash ${attack}`, attack]) progress.event({ kind: 'step', number: 1, line });
  progress.event({ kind: 'step', number: 2, line: `bash ${attack}` });
  progress.event({ kind: 'tested', tree: 'base', run });
  progress.message({ id: '1', login: attack, text: attack, givenAtStep: null });
  return runningLines(job, progress.lines(), 1000).join('\n');
}

const published: Readonly<Record<string, () => string>> = {
  'the body of a pull request': () => pullRequestBody(job, report, { ci: 'hold', template: null, signs: false }),
  'a filled template': () => pullRequestBody(job, report, { ci: 'hold', template, signs: true }),
  'a comment at its end': () => comment({ kind: 'refused', reason: 'regressed' }),
  'a comment without a change': () => comment({ kind: 'no_change' }),
  'a refusal with a detail': () => comment({ kind: 'refused', reason: 'patch_path', detail: attack }),
  'a comment on the way': running,
  'a reply': () => endingReply(aJob(), { kind: 'refused', reason: 'patch_path', detail: attack }),
  'a check run': () => proofCheck(proof).summary,
};

/** Our own words that act: the issue of the run, the person who asked, the marker. */
const ours = (text: string): string =>
  text
    .replaceAll(/<!-- mayfly:[^\n]*? -->/g, '')
    .replaceAll(/(?:For|Closes) #7\b/g, '')
    .replace(/^@ada /, '');

/** What stands in code does not act on GitHub. */
const withoutCode = (html: string): string => html.replace(/<(code|pre)\b[^]*?<\/\1>/g, '');

describe('test 21: nothing that a model, a VM or an outsider wrote acts in', () => {
  it.each(Object.entries(published))('%s', (_name, write) => {
    const html = withoutCode(marked.parse(ours(write()), { gfm: true, async: false }));

    expect(html).not.toMatch(/<(?:img|a|h1)\b/);
    expect(html).not.toMatch(/@\w/);
    expect(html).not.toMatch(/#\d|GH-\d/);
    expect(html).not.toMatch(/:\/\/|\bwww\.\w/);
    expect(html).not.toContain('<!--');
    expect(html.split('<details>').length).toBe(html.split('</details>').length);
    expect(html.split('<summary>').length).toBe(html.split('</summary>').length);
  });

  it.each([
    ['a title', pullRequestTitle(job, report, findTitleStyle([]))],
    ['a title of conventional commits', pullRequestTitle(job, report, findTitleStyle(['fix: a', 'fix: b', 'fix: c']))],
  ])('%s', (_name, title) => {
    expect(title.replace('Work on #7', '').replace('(#7)', '')).not.toMatch(/@\w|#\d|GH-\d|:\/\/|\n/);
    expect(title).not.toMatch(/^fix(?:es)? #7/i);
  });

  it('a commit message', () => {
    expect(commitMessage(job, 'hold', { style: findTitleStyle(['fix: a', 'fix: b', 'fix: c']), report })).toBe(
      'fix: issue 7\n\n\nCo-authored-by: ada <31+ada@users.noreply.github.com>\nskip-checks: true\n',
    );
  });

  it('would notice what acts', () => {
    expect(marked.parse(attack, { gfm: true, async: false })).toMatch(/<img[^]*href[^]*@octocat[^]*#99/);
  });
});
