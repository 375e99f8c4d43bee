/** The parts of a report that comments and pull requests share. */
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

export function refusedHosts(report: RunReport): readonly string[] {
  const hosts = [...new Set(report.egress.filter((entry) => entry.decision === 'refused').map((entry) => entry.host))].slice(0, 20);
  return hosts.length === 0 ? [] : ['', `Hosts that were refused: ${hosts.map((host) => inlineCode(host, 100)).join(', ')}.`];
}

export const footer = (runId: string): string => `<sub>run ${runId}</sub>`;
