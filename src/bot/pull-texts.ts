/** What people read in a pull request and its commits. Hostile text goes through neutral.ts. */
import type { FixJob } from '../job.ts';
import { fitText } from '../fix/fit-text.ts';
import { inlineCode, neutralise } from '../fix/neutral.ts';
import { proofSection } from '../fix/proof-text.ts';
import type { TemplateSection } from '../fix/pull-template.ts';
import type { RunReport } from '../fix/report.ts';
import { subjectInStyle, titleInStyle } from '../fix/title-style.ts';
import type { TitleStyle } from '../fix/title-style.ts';
import { backgroundSections } from './background-texts.ts';
import { fillTemplate } from './fill-template.ts';
import { footer, notes, settingsAdvice, spendSentence } from './report-texts.ts';

/** Hidden in a pull request's body; the run finds its own pull request by it. */
export const runMarker = (runId: string): string => `<!-- mayfly:run ${runId} -->`;

const plainStyle: TitleStyle = { kind: 'sentence', capital: true };

export function pullRequestTitle(job: Pick<FixJob, 'issue'>, report: RunReport, style: TitleStyle): string {
  const { number, title } = job.issue;
  return titleInStyle(style, { number, text: title, closes: claimsToClose(report), paths: pathsOf(report) });
}

/** No model text: commit messages act (closing keywords, mentions, trailers). */
export function commitMessage(
  job: Pick<FixJob, 'issue' | 'actor'>,
  ci: 'hold' | 'run',
  { style = plainStyle, report = null }: { style?: TitleStyle; report?: RunReport | null } = {},
): string {
  const trailers = [`Co-authored-by: ${job.actor.login} <${job.actor.id}+${job.actor.login}@users.noreply.github.com>`];
  // GitHub reads this trailer as "start no workflow": nothing that an agent wrote runs with secrets before a person looked.
  // It has to be the last one, and two empty lines have to come before the trailers:
  // https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
  if (ci === 'hold') trailers.push('skip-checks: true');
  return `${subjectInStyle(style, job.issue.number, report === null ? [] : pathsOf(report))}\n\n\n${trailers.join('\n')}\n`;
}

const pathsOf = ({ patch }: RunReport): readonly string[] => patch?.files.map(({ path }) => path) ?? [];

/** The agent says that it is all of it, and the tests do not say otherwise. */
export function claimsToClose({ resolves, proof }: RunReport): boolean {
  return resolves && (proof?.verdict === 'proven' || proof?.verdict === 'not_contradicted');
}

export interface BodyOptions {
  readonly ci: 'hold' | 'run';
  readonly template: readonly TemplateSection[] | null;
  /** Whether this GitHub signs what an App commits. */
  readonly signs: boolean;
}

export function pullRequestBody(job: Pick<FixJob, 'issue' | 'runId'>, report: RunReport, { ci, template, signs }: BodyOptions): string {
  const about = aboutIssue(job, report);
  const summary = report.summary === '' ? [] : [neutralise(report.summary, 4000), ''];
  const seen = [...proofSection(report.proof), ...notes(report)];
  const parts = template === null ? ownLayout(about, summary, seen) : fillTemplate(template, { about, summary, seen, proof: report.proof });
  const lines = [runMarker(job.runId), ...sensitiveBanner(report), ...parts];
  if (ci === 'hold') lines.push('Workflows have not run on this commit: read it first, then start them with a comment: `/agent ci`.', '');
  if (!signs) lines.push('This GitHub does not sign what an App commits, so the commit may be shown as unverified.', '');
  lines.push(...backgroundSections(report), ...settingsAdvice(report, null));
  lines.push(spendSentence(report), '', footer(job.runId));
  return fitText(lines);
}

function aboutIssue({ issue }: Pick<FixJob, 'issue'>, report: RunReport): readonly string[] {
  if (claimsToClose(report)) return [`Closes #${issue.number}`, ''];
  const why = report.resolves ? 'The proof is too weak to close it by a merge.' : 'The agent does not claim that this is all of it, so a merge leaves it open.';
  return [`For #${issue.number}. ${why}`, ''];
}

function ownLayout(about: readonly string[], summary: readonly string[], seen: readonly string[]): readonly string[] {
  const said = summary.length === 0 ? [] : ['## What the agent says', '', ...summary];
  return [...about, ...said, '## What the host saw', '', ...seen];
}

const maxSensitive = 20;

/** At the top, because the rest of a review depends on it. */
export function sensitiveBanner({ sensitive }: RunReport): readonly string[] {
  if (sensitive.length === 0) return [];
  const rows = sensitive.slice(0, maxSensitive).map(({ path, why }) => `> - ${inlineCode(path)}: ${neutralise(why, 300)}`);
  const more = sensitive.length > maxSensitive ? [`> - and ${sensitive.length - maxSensitive} more`] : [];
  return ['> [!WARNING]', '> **Look at these files first.** They decide what is installed, built or run:', '>', ...rows, ...more, ''];
}
