/** The parts of a report that comments and pull requests share. */
import { describeRefused } from '../fix/egress.ts';
import { inlineCode, neutralise } from '../fix/neutral.ts';
import { modelSentence, spent } from '../fix/outcome-text.ts';
import type { RunReport } from '../fix/report.ts';

export function spendSentence(report: RunReport): string {
  return `${spent(report)}.${report.models.length === 0 ? '' : ` ${modelSentence(report.models)}`}`;
}

/** Facts of the host; the names in them (commands, paths) are not its own. */
export function notes(report: RunReport): readonly string[] {
  return report.notes.length === 0 ? [] : [...report.notes.slice(0, 10).map((note) => `- ${neutralise(note, 600)}`), ''];
}

const maxRefusedHosts = 20;

export function refusedHosts(report: RunReport): readonly string[] {
  const lines = describeRefused(report.egress, (host) => inlineCode(host, 100));
  const more = lines.length > maxRefusedHosts ? [`- and ${lines.length - maxRefusedHosts} more`] : [];
  return lines.length === 0 ? [] : ['', 'Hosts that were refused:', '', ...lines.slice(0, maxRefusedHosts).map((line) => `- ${line}`), ...more];
}

export const footer = (runId: string): string => `<sub>run ${runId}</sub>`;
