import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { pino } from 'pino';
import { createLivingComment, sayQueued, sayStopped } from '../../../src/bot/living-comment.ts';
import type { LivingComment } from '../../../src/bot/living-comment.ts';
import { readRuns } from '../../../src/bot/run-history.ts';
import { FixError } from '../../../src/errors.ts';
import { createReport } from '../../../src/fix/report.ts';
import type { CommentEdit } from '../../../src/github/github.ts';
import { aJob } from '../../support/jobs.ts';

/** What GitHub would hold: one comment, and how often it was written. */
class Page {
  body = '';
  writes = 0;
  failure: Error | null = null;
  held: Promise<void> | null = null;
  async livingComment(_issue: number, _marker: string, edit: string | CommentEdit): Promise<void> {
    await this.held;
    if (this.failure) throw this.failure;
    const body = typeof edit === 'string' ? edit : edit(this.body);
    if (body === null) return;
    this.body = body;
    this.writes += 1;
  }
}

const job = { ...aJob(), runId: 'r0000002aaaaaaaa' };
const later = { ...aJob(), runId: 'r0000003aaaaaaaa' };
const step = (number: number) => ({ kind: 'step', number, line: 'bash npm test' }) as const;

let page: Page;
let owns: boolean;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-01-02T03:05:00Z') });
  page = new Page();
  owns = true;
});
afterEach(() => void vi.useRealTimers());

function open(of = job, signal = new AbortController().signal): LivingComment {
  return createLivingComment({ job: of, open: () => page, signal, ownsRun: () => Promise.resolve(owns), log: pino({ level: 'silent' }) });
}
const end = async (comment: LivingComment, of = job): Promise<void> => await comment.end(page, { kind: 'no_change' }, createReport(of.runId));

describe('the living comment', () => {
  it('is edited at most once in ten seconds, and shows the last of what happened', async () => {
    using comment = open();
    await comment.begin();
    comment.event({ kind: 'started', phase: 'solve', vm: 'agent' });
    for (let number = 1; number <= 50; number++) comment.event(step(number));

    await vi.advanceTimersByTimeAsync(9_999);
    expect(page.writes).toBe(1);
    await vi.advanceTimersByTimeAsync(1);

    expect(page.writes).toBe(2);
    expect(page.body).toContain('at step 50 runs `npm test`');
  });

  it('is edited less often in a long run: below 100 times in an hour that is full of steps', async () => {
    using comment = open();
    await comment.begin();

    for (let second = 0; second < 3600; second++) {
      comment.event(step(second));
      await vi.advanceTimersByTimeAsync(1000);
    }

    expect(page.writes).toBeGreaterThan(60);
    expect(page.writes).toBeLessThan(100);
  });

  it('shows what happened while an edit was on its way', async () => {
    using comment = open();
    const { promise, resolve } = Promise.withResolvers<void>();
    page.held = promise;
    const begun = comment.begin();
    comment.event({ kind: 'done', phase: 'boot', durationMs: 400, failed: false, vm: 'agent' });
    resolve();
    await begun;

    await vi.advanceTimersByTimeAsync(10_000);

    expect(page.body).toContain('- [x] VM booted (0.4 s)');
  });

  it('tells the time that has gone also when nothing happens', async () => {
    using comment = open();
    await comment.begin();

    await vi.advanceTimersByTimeAsync(125_000);

    expect(page.body).toContain('2 min so far');
  });

  it('ends at once, and no edit comes after the end', async () => {
    const comment = open();
    await comment.begin();
    comment.event(step(1));
    await end(comment);
    const { body, writes } = page;

    comment.event(step(2));
    await vi.advanceTimersByTimeAsync(600_000);

    expect(body).toContain('**Mayfly: no change.**');
    expect(page).toMatchObject({ body, writes });
  });

  it('calls a plan planned, and no run that works, once something newer was asked for', async () => {
    const plan = open();
    await plan.begin();
    await plan.end(page, { kind: 'planned' }, createReport(job.runId));
    expect(readRuns(page.body)).toMatchObject([{ id: job.runId, state: 'waiting for you' }]);

    await sayQueued(page, later, null);

    expect(readRuns(page.body)).toMatchObject([
      { id: later.runId, state: 'queued' },
      { id: job.runId, state: 'planned' },
    ]);
    expect(page.body).not.toContain('Another run');
    expect(page.body).toContain('- **planned**, ');
  });

  it('fails no run when GitHub fails', async () => {
    using comment = open();
    page.failure = new FixError('github_unavailable');
    await comment.begin();
    page.failure = null;

    comment.event(step(1));
    await vi.advanceTimersByTimeAsync(10_000);

    expect(page.body).toContain('**Mayfly: running.**');
  });

  it('is left alone by a worker that lost the run', async () => {
    using comment = open();
    await comment.begin();
    const { body } = page;
    owns = false;

    comment.event(step(1));
    await vi.advanceTimersByTimeAsync(120_000);
    await end(comment);

    expect(page.body).toBe(body);
  });

  it('is not opened again by a late word of an attempt whose run has ended elsewhere', async () => {
    using old = open();
    await old.begin();
    await end(open());

    old.event(step(1));
    await vi.advanceTimersByTimeAsync(10_000);

    expect(page.body).toContain('**Mayfly: no change.**');
  });

  it('starts again with the next attempt', async () => {
    const first = open();
    await first.begin();
    first.event({ kind: 'done', phase: 'boot', durationMs: 400, failed: false, vm: 'agent' });
    await end(first);

    using second = open();
    await second.begin();

    expect(page.body).toContain('**Mayfly: running.**');
    expect(page.body).toContain('- [ ] VM booted');
    expect(readRuns(page.body)).toHaveLength(1);
  });

  it('keeps of an earlier run its end, folded into one line', async () => {
    const first = open();
    await first.begin();
    await end(first);
    using second = open(later);
    await sayQueued(page, later, null);
    await second.begin();

    expect(page.body).toMatch(/<summary>One earlier run<\/summary>\n\n- \*\*no change\*\*, 0\.0 s, 0\.00 USD, `r0000002aaaaaaaa`/);
    expect(readRuns(page.body).map(({ id, state }) => [id, state])).toEqual([
      [later.runId, 'running'],
      [job.runId, 'no change'],
    ]);
  });

  it('keeps at most ten of them', async () => {
    for (let index = 10; index < 40; index++) {
      const of = { ...job, runId: `r00000${index}aaaaaaaa` };
      const comment = open(of);
      await comment.begin();
      await end(comment, of);
    }

    expect(readRuns(page.body)).toHaveLength(11);
    expect(page.body).toContain('10 earlier runs');
    expect(page.body.length).toBeLessThan(8000);
  });

  it('shows a run that waits beside one that works, and neither takes the word of the other', async () => {
    using working = open();
    await working.begin();
    await sayQueued(page, later, null);
    expect(page.body).toContain('Another run of this works: `r0000002aaaaaaaa`');

    working.event(step(3));
    await vi.advanceTimersByTimeAsync(10_000);

    expect(page.body).toContain('**Mayfly: running.**');
    expect(page.body).toContain('Another run of this waits: `r0000003aaaaaaaa`');
  });

  it('is not called queued again once the run has begun', async () => {
    using comment = open();
    await comment.begin();

    await sayQueued(page, job, { place: 1, of: 2, heldBy: null });

    expect(page.body).toContain('**Mayfly: running.**');
  });

  it('says which limit holds a run, and until when', async () => {
    await sayQueued(page, job, { place: 2, of: 3, heldBy: { limit: 'repository_day', until: new Date('2026-01-03T00:00:00Z') } });

    expect(page.body).toContain('Place 2 of 3. It waits because this repository has begun as many runs today as it may, until 2026-01-03 00:00 UTC.');
  });

  it('says that runs were stopped which no worker had', async () => {
    await sayQueued(page, job, null);
    await sayQueued(page, later, null);

    await sayStopped(page, 7, [job.runId, later.runId]);

    expect(page.body).toContain('**Mayfly: stopped.**');
    expect(readRuns(page.body).map(({ state }) => state)).toEqual(['stopped', 'stopped']);
  });

  it('shows what people told the agent: waiting, then given', async () => {
    using comment = open();
    await comment.begin();
    comment.message({ id: '1', login: 'grace', text: 'also `null` @all', givenAtStep: null });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(page.body).toContain('- ``also `null` @all`` of `grace`: waits for the next step');

    comment.message({ id: '1', login: 'grace', text: 'also `null` @all', givenAtStep: 4 });
    await vi.advanceTimersByTimeAsync(10_000);

    expect(page.body).toContain('given at step 4');
  });

  it('says at least that it ended when its text carries a secret', async () => {
    const comment = open();
    await comment.begin();
    let refusals = 0;
    const gate = {
      livingComment: async (issue: number, marker: string, edit: string | CommentEdit) => {
        if (refusals++ === 0) throw new FixError('secret_in_text');
        await page.livingComment(issue, marker, edit);
      },
    };

    await comment.end(gate, { kind: 'no_change' }, createReport(job.runId));

    expect(page.body).toContain('carried a secret of this installation, so it is not shown');
  });

  it('takes nothing from a comment that a person has filled with something else', () => {
    const entry = { id: job.runId, state: 'done', at: job.requestedAt, ms: 1, pull: 1, costUsd: 0 };
    const bodies = [
      { ...entry, id: '@all' },
      { ...entry, state: '![x](y)' },
      { ...entry, more: 1 },
      { ...entry, at: '<img>' },
    ].map((wrong) => `<!-- mayfly:runs ${JSON.stringify([wrong])} -->`);

    for (const body of [...bodies, '<!-- mayfly:runs [not json] -->', '<!-- mayfly:runs [', '']) expect(readRuns(body)).toEqual([]);
    expect(readRuns(`<!-- mayfly:runs ${JSON.stringify([entry])} -->`)).toEqual([entry]);
  });
});
