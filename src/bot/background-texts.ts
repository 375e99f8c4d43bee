/** The folded parts of a report: what the agent saw, what the run could do, and what of it went out of its VMs. */
import { listCapabilities } from '../fix/capabilities.ts';
import { describeReached, describeRefused } from '../fix/egress.ts';
import { folded } from '../fix/fit-text.ts';
import { inlineCode } from '../fix/neutral.ts';
import type { RunReport } from '../fix/report.ts';

/** Who could have put words into the agent's mouth, what it could do with them, and where they could have gone. */
export const backgroundSections = (report: RunReport): readonly string[] => [
  ...contextSection(report),
  ...capabilitySection(report),
  ...reachedSection(report),
  ...refusedSection(report),
];

function capabilitySection(report: RunReport): readonly string[] {
  const capabilities = listCapabilities(report);
  if (capabilities.length === 0) return [];
  const rows = capabilities.map(
    ({ name, granted, by, refused }) => `| ${[name, ...[granted, by, refused.join(', ')].map((text) => cell(text, 1500))].join(' | ')} |`,
  );
  return folded('What the run could do', ['| capability | granted | by | refused |', '| --- | --- | --- | --- |', ...rows]);
}

function contextSection({ context }: RunReport): readonly string[] {
  if (context.length === 0) return [];
  const rows = context.slice(0, 60).map(({ item, source, trust, characters, hidden }) => {
    return `| ${[cell(item, 60), cell(source, 120), trust, characters.toLocaleString('en'), hidden].join(' | ')} |`;
  });
  return folded('What the agent saw', ['| text | from | whose word | characters | hidden, left out |', '| --- | --- | --- | --- | --- |', ...rows]);
}

const maxReachedHosts = 40;

function reachedSection({ egress }: RunReport): readonly string[] {
  const hosts = describeReached(egress);
  if (hosts.length === 0) return [];
  const rows = hosts
    .slice(0, maxReachedHosts)
    .map(({ host, attempts, bytesIn, bytesOut }) => `| ${[cell(host, 100), attempts, shownBytes(bytesIn), shownBytes(bytesOut)].join(' | ')} |`);
  const more = hosts.length > maxReachedHosts ? ['', `And ${hosts.length - maxReachedHosts} more.`] : [];
  return folded('Hosts that were reached', ['| host | connections or requests | received | sent |', '| --- | --- | --- | --- |', ...rows, ...more]);
}

function shownBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 2 ** 20 ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

const maxRefusedHosts = 20;

export function refusedSection({ egress }: RunReport): readonly string[] {
  const lines = describeRefused(egress, (host) => inlineCode(host, 100));
  const more = lines.length > maxRefusedHosts ? [`- and ${lines.length - maxRefusedHosts} more`] : [];
  return folded('Hosts that were refused', [...lines.slice(0, maxRefusedHosts).map((line) => `- ${line}`), ...more]);
}

/** A bar ends a cell, also inside of code. */
const cell = (text: string, maxLength: number): string => (text === '' ? '' : inlineCode(text, maxLength).replaceAll('|', '\\|'));
