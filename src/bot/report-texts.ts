/** The parts of a report that comments and pull requests share. */
import { describeRefused } from '../fix/egress.ts';
import { fenced, inlineCode, neutralise } from '../fix/neutral.ts';
import { modelSentence, spent } from '../fix/outcome-text.ts';
import type { RunReport } from '../fix/report.ts';
import type { FixOutcome } from '../job.ts';

export function spendSentence(report: RunReport): string {
  return `${spent(report)}.${report.models.length === 0 ? '' : ` ${modelSentence(report.models)}`}`;
}

/** Facts of the host; the names in them (commands, paths) are not its own. */
export function notes(report: RunReport): readonly string[] {
  return report.notes.length === 0 ? [] : [...report.notes.slice(0, 10).map((note) => `- ${neutralise(note.replace(/\s+/g, ' '), 600)}`), ''];
}

const maxRefusedHosts = 20;

export function refusedHosts(report: RunReport): readonly string[] {
  const lines = describeRefused(report.egress, (host) => inlineCode(host, 100));
  const more = lines.length > maxRefusedHosts ? [`- and ${lines.length - maxRefusedHosts} more`] : [];
  return [...lines.slice(0, maxRefusedHosts).map((line) => `- ${line}`), ...more];
}

const hostsRefused = ({ egress }: RunReport): readonly string[] =>
  [...new Set(egress.filter((entry) => entry.decision === 'refused').map((entry) => entry.host))].slice(0, maxRefusedHosts);

/** What a maintainer could write into the settings, so that the next run has what this one lacked. */
export function settingsAdvice(report: RunReport, outcome: FixOutcome | null): readonly string[] {
  // A name that cannot be a host would only make the file invalid.
  const hosts = hostsRefused(report).filter((host) => /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/i.test(host));
  // What only the proof lacked, like a package that is new in the patch, is nothing that the agent needs.
  const onlyProof = report.egress.every(({ decision, phase }) => decision !== 'refused' || phase === 'proof');
  const lines =
    hosts.length === 0 ? [] : onlyProof ? ['allow:', '  proof:', ...hosts.map((host) => `    - ${host}`)] : ['allow:', ...hosts.map((host) => `  - ${host}`)];
  if (outcome?.kind === 'failed' && outcome.code === 'setup_failed') lines.push('setup:', '  - <a command that prepares a fresh clone>');
  lines.push(...testAdvice(report));
  if (lines.length === 0) return [];
  const caution = hosts.length === 0 ? '' : ' Allow a host only when you know why the run wants it.';
  return folded('Settings that would have helped', [`In \`.github/mayfly.yml\` on the default branch.${caution}`, '', fenced(lines.join('\n'), 4000)]);
}

/** A quoted string of JSON is one of YAML, whatever is in it. */
function testAdvice({ proof }: RunReport): readonly string[] {
  if (proof === null) return [];
  if (proof.verdict === 'nothing_to_run') return ['test: <the command that runs the tests>'];
  const command = proof.patched?.command ?? proof.base?.command;
  return proof.source === 'the agent' && command !== undefined ? [`test: ${JSON.stringify(command.slice(0, 500))}`] : [];
}

/** Nothing when there is nothing to fold. `summary` is the host's own. */
export function folded(summary: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`<details><summary>${summary}</summary>`, '', ...lines, '', '</details>', ''];
}

export const footer = (runId: string): string => `<sub>run ${runId}</sub>`;
