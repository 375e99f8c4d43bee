/** What people read of work on a pull request that exists. Hostile text goes through neutral.ts. */
import { fitText } from '../fix/fit-text.ts';
import { inlineCode, neutralise, titleText } from '../fix/neutral.ts';
import { sentence } from '../fix/outcome-text.ts';
import { proofSection } from '../fix/proof-text.ts';
import type { RunReport } from '../fix/report.ts';
import type { FixJob, FixOutcome, ReviewRequest } from '../job.ts';
import { backgroundSections } from './background-texts.ts';
import { commentMarker } from './comment-texts.ts';
import type { FailedCheck } from './failed-checks.ts';
import { runMarker, sensitiveBanner } from './pull-texts.ts';
import { footer, notes, settingsAdvice, spendSentence } from './report-texts.ts';
import { hiddenRuns } from './run-history.ts';
import type { RunEntry } from './run-history.ts';

export interface CommitFacts {
  /** Of the host's own words. */
  readonly subject: string;
  readonly ci: 'hold' | 'run';
  /** How many repairs in a row this is; a person's commit ends the row. */
  readonly repair?: number;
}

/** No model text, and no name of a branch: commit messages act. The trailers say who asked, in which run. */
export function followMessage(
  { actor, runId }: { readonly actor: FixJob['actor']; readonly runId: string | null },
  { subject, ci, repair }: CommitFacts,
): string {
  const trailers = [`Co-authored-by: ${actor.login} <${actor.id}+${actor.login}@users.noreply.github.com>`];
  if (runId !== null) trailers.push(`Mayfly-run: ${runId}`);
  if (repair !== undefined) trailers.push(`Mayfly-repair: ${repair}`);
  // As in pull-texts.ts: the last one, after two empty lines.
  if (ci === 'hold') trailers.push(heldTrailer);
  return `${subject}\n\n\n${trailers.join('\n')}\n`;
}

const heldTrailer = 'skip-checks: true';

export interface Trailers {
  readonly runId: string | null;
  readonly repair: number;
  /** No workflow runs on the commit. */
  readonly held: boolean;
  /** Who asked for it. */
  readonly actor: FixJob['actor'] | null;
}

/** What the trailers of a commit of ours say. */
export function readTrailers(message: string): Trailers {
  const lines = message.trimEnd().slice(-2000).split('\n').slice(-6);
  const value = (pattern: RegExp): RegExpExecArray | null => lines.map((line) => pattern.exec(line)).findLast((match) => match !== null) ?? null;
  const author = value(/^Co-authored-by: ([\w-]{1,60}(?:\[bot\])?) <(\d{1,15})\+/);
  return {
    runId: value(/^Mayfly-run: (r[0-9a-z]{15})$/)?.[1] ?? null,
    repair: Number(value(/^Mayfly-repair: ([1-9])$/)?.[1] ?? 0),
    held: lines.at(-1) === heldTrailer,
    actor: author && { login: author[1] ?? '', id: Number(author[2]) },
  };
}

const begin = '<!-- mayfly:latest -->';
const end = '<!-- mayfly:latest end -->';
/** https://docs.github.com/en/rest/pulls/pulls#update-a-pull-request takes no longer one. */
const maxBodyCharacters = 65_536;

/** The text of a pull request of ours with what is to say about its newest commit; null when there is no room. What people wrote around it stays. */
export function withLatest(
  body: string,
  { job, report, headSha }: { job: Pick<FixJob, 'actor' | 'runId'>; report: RunReport; headSha: string },
): string | null {
  const heading = `## Commit ${headSha.slice(0, 7)}`;
  const asked = `Asked for by ${inlineCode(job.actor.login)}.`;
  const section = [begin, heading, '', asked, '', ...whatWasSeen(report), footer(job.runId), end];
  const [from, to] = [body.indexOf(begin), body.indexOf(end)];
  const before = from === -1 || to < from ? `${body.trimEnd()}\n\n` : body.slice(0, from);
  const after = from === -1 || to < from ? '\n' : body.slice(to + end.length);
  const text = `${before}${fitText(section, maxBodyCharacters - before.length - after.length)}${after}`;
  return text.length > maxBodyCharacters ? null : text;
}

/** For a pull request against somebody else's branch. */
export function besideTitle(job: Pick<FixJob, 'issue'>): string {
  return `For #${job.issue.number}: ${titleText(job.issue.title, 80)}`;
}

export function besideBody(job: Pick<FixJob, 'issue' | 'runId' | 'actor'>, report: RunReport, ci: 'hold' | 'run'): string {
  const why = `For #${job.issue.number}, asked for there by ${inlineCode(job.actor.login)}. It goes against that branch, because Mayfly pushes to its own branches only.`;
  const lines = [runMarker(job.runId), why, ''];
  if (report.summary !== '') lines.push('## What the agent says', '', neutralise(report.summary, 4000), '');
  if (ci === 'hold') lines.push('Workflows have not run on this commit: read it first, then start them with a comment: `/agent ci`.', '');
  lines.push('## What the host saw', '', ...whatWasSeen(report), footer(job.runId));
  return fitText(lines);
}

function whatWasSeen(report: RunReport): readonly string[] {
  const facts = [...sensitiveBanner(report), ...proofSection(report.proof), ...notes(report), ...backgroundSections(report)];
  return [...facts, ...settingsAdvice(report, null), spendSentence(report), ''];
}

/** The answer in a thread: the commit that does what it asks, or why there is none. */
export function threadAnswer(
  request: ReviewRequest,
  { outcome, pull }: { readonly outcome: FixOutcome; readonly pull: number },
  reply: RunReport['replies'][number] | undefined,
): string {
  const outdated = request.outdated ? ' The lines that this stands at have changed since it was written.' : '';
  const words = reply === undefined ? '' : neutralise(reply.text, 1500);
  if (outcome.kind === 'pushed' || outcome.kind === 'published') {
    const commit = outcome.pullRequest.headSha.slice(0, 7);
    const where = outcome.pullRequest.number !== pull ? ` (pull request #${outcome.pullRequest.number})` : '';
    if (reply === undefined) return `${commit}${where} was made for this review. The agent did not say what became of this comment: please look.${outdated}`;
    return reply.addressed ? `Done in ${commit}${where}: ${words}${outdated}` : `Not changed: ${words}${outdated}`;
  }
  if (outcome.kind === 'no_change')
    return reply === undefined ? `Nothing was changed, and the agent did not say why not here.${outdated}` : `Not changed: ${words}${outdated}`;
  return `Nothing was changed. ${sentence(outcome)}${outdated}`;
}

export const manyThreadsReply = (login: string, threads: number, inOneRun: number): string =>
  `@${login} ${threads} threads wait for an answer, and one run takes ${inOneRun} of them. The others come right behind it, by themselves.`;

export const closedPullReply = 'This pull request is closed, so nothing is done here. Reopen it, or open an issue.';
export const foreignMergeReply = 'Mayfly merges the base into its own pull requests only. Merge it here by hand.';
export const forkPullReply = 'This pull request comes from a fork, and Mayfly writes to this repository only. Push its branch here, or open an issue.';

/** Why failed checks start no run: one sentence for each reason. */
export function checksComment(
  failed: readonly FailedCheck[],
  facts: { readonly headSha: string; readonly base: string; readonly repairs: number; readonly runsOfHead: number; readonly runs: readonly RunEntry[] },
): string {
  const names = (cause: FailedCheck['cause']): string =>
    failed
      .filter((check) => check.cause === cause)
      .map(({ name }) => inlineCode(name, 80))
      .join(', ');
  const tried = facts.runsOfHead > 0 ? `${facts.runsOfHead} runs for this commit` : `${facts.repairs} repairs in a row`;
  const reasons = [
    [names('infrastructure'), 'ended for a reason outside of the code: cancelled, out of time, a lost runner or the network. Run it again.'],
    [names('base'), `fails on ${inlineCode(facts.base, 80)} as well, so it is not for this pull request to mend.`],
    [names('unreadable'), 'has no log that Mayfly can read. Say in a comment what is wrong: `/agent <instruction>`.'],
    [names('ours'), `still fails after ${tried}, so a person has to look. Push a commit, or comment \`/agent <instruction>\`.`],
  ];
  const sentences = reasons.flatMap(([who, what]) => (who === '' ? [] : [`- ${who} ${what}`]));
  return [commentMarker, `**Mayfly: checks failed on ${facts.headSha.slice(0, 7)}; no run was started.**`, '', ...sentences, '', hiddenRuns(facts.runs)].join(
    '\n',
  );
}
