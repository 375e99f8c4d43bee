/** What people read in a pull request and its commits. Hostile text goes through neutral.ts. */
import type { FixJob } from '../job.ts';
import { inlineCode, neutralise, titleText } from '../fix/neutral.ts';
import { proofSection } from '../fix/proof-text.ts';
import type { RunReport } from '../fix/report.ts';
import { footer, notes, refusedHosts, spendSentence } from './report-texts.ts';

/** Hidden in a pull request's body; the run finds its own pull request by it. */
export const runMarker = (runId: string): string => `<!-- mayfly:run ${runId} -->`;

export function pullRequestTitle(job: Pick<FixJob, 'issue'>): string {
  return `Fix #${job.issue.number}: ${titleText(job.issue.title, 80)}`;
}

/** No model text: commit messages act (closing keywords, mentions, trailers). */
export function commitMessage(job: Pick<FixJob, 'issue' | 'actor'>, ci: 'hold' | 'run'): string {
  const trailers = [`Co-authored-by: ${job.actor.login} <${job.actor.id}+${job.actor.login}@users.noreply.github.com>`];
  // GitHub reads this trailer as "start no workflow": nothing that an agent wrote runs with secrets before a person looked.
  // It has to be the last one, and two empty lines have to come before the trailers:
  // https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
  if (ci === 'hold') trailers.push('skip-checks: true');
  return `Fix issue ${job.issue.number}\n\n\n${trailers.join('\n')}\n`;
}

export function pullRequestBody(job: Pick<FixJob, 'issue' | 'runId'>, report: RunReport, ci: 'hold' | 'run'): string {
  const lines = [runMarker(job.runId), ...sensitiveBanner(report), `Closes #${job.issue.number}`, ''];
  if (report.summary !== '') lines.push('## What the agent says', '', neutralise(report.summary, 4000), '');
  lines.push('## What the host saw', '', proofSection(report.proof), '', ...notes(report));
  if (ci === 'hold') lines.push('Workflows have not run on this commit: read it first, then start them.', '');
  lines.push(...contextSection(report), spendSentence(report), ...refusedHosts(report), '', footer(job.runId));
  return lines.join('\n');
}

const maxSensitive = 20;

/** At the top, because the rest of a review depends on it. */
function sensitiveBanner({ sensitive }: RunReport): readonly string[] {
  if (sensitive.length === 0) return [];
  const rows = sensitive.slice(0, maxSensitive).map(({ path, why }) => `> - ${inlineCode(path)}: ${neutralise(why, 300)}`);
  const more = sensitive.length > maxSensitive ? [`> - and ${sensitive.length - maxSensitive} more`] : [];
  return ['> [!WARNING]', '> **Look at these files first.** They decide what is installed, built or run:', '>', ...rows, ...more, ''];
}

/** Folded: who could have put words into the agent's mouth. */
function contextSection({ context }: RunReport): readonly string[] {
  if (context.length === 0) return [];
  const rows = context.slice(0, 60).map(({ item, source, trust, characters, hidden }) => {
    return `| ${[inlineCode(item, 60), inlineCode(source, 120), trust, characters.toLocaleString('en'), hidden].join(' | ')} |`;
  });
  const head = ['| text | from | whose word | characters | hidden, left out |', '| --- | --- | --- | --- | --- |'];
  return ['<details><summary>What the agent was given to read</summary>', '', ...head, ...rows, '', '</details>', ''];
}
