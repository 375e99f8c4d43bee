/** The parts of a report that comments and pull requests share. */
import { folded } from '../fix/fit-text.ts';
import { fenced, inlineCode, neutralise } from '../fix/neutral.ts';
import { modelSentence, spent } from '../fix/outcome-text.ts';
import type { RunReport, TemplateUse } from '../fix/report.ts';
import type { FixOutcome } from '../job.ts';
import { isHostRule, ruleMethods } from '../settings/host-rules.ts';
import { duration } from './durations.ts';

export function spendSentence(report: RunReport): string {
  return `${spent(report)}.${report.models.length === 0 ? '' : ` ${modelSentence(report.models)}`}`;
}

/** Facts of the host; the names in them (commands, paths) are not its own. */
export function notes({ notes: said, template }: RunReport): readonly string[] {
  const all = [...(template === null ? [] : [describeTemplate(template)]), ...said.slice(0, 10).map((note) => neutralise(note.replace(/\s+/g, ' '), 600))];
  return all.length === 0 ? [] : [...all.map((note) => `- ${note}`), ''];
}

/** The commit as code, so that it can be copied. */
function describeTemplate({ commit, again, readyMs, wholeMs }: TemplateUse): string {
  const how = again ? 'and its commands ran again on top of it' : 'and no command had to run again';
  const when = `the VM was ready to edit after ${duration(readyMs)} instead of ${duration(wholeMs)}`;
  return `The setup of ${inlineCode(commit.slice(0, 7))} was kept from an earlier run, ${how}: ${when}.`;
}

const maxEntries = 20;

/** Entries that would have let a refused attempt through, each once. */
const missedEntries = ({ egress }: RunReport): readonly string[] => [...new Set(egress.flatMap(({ wouldAllow }) => wouldAllow ?? []))];
const forbiddenEntries = ({ egress }: RunReport): readonly string[] => [...new Set(egress.flatMap(({ beyondCeiling }) => beyondCeiling ?? []))];

/** What a maintainer could write into the settings, so that the next run has what this one lacked. */
export function settingsAdvice(report: RunReport, outcome: FixOutcome | null): readonly string[] {
  const [missed, untakable] = partition(missedEntries(report), isHostRule);
  const entries = missed.slice(0, maxEntries).map((entry) => (/^[\w.:-]+$/.test(entry) ? entry : JSON.stringify(entry)));
  // What only the proof lacked, like a package that is new in the patch, is nothing that the agent needs.
  const onlyProof = report.egress.every(({ decision, phase }) => decision !== 'refused' || phase === 'proof');
  const listed = onlyProof ? ['allow:', '  proof:', ...entries.map((entry) => `    - ${entry}`)] : ['allow:', ...entries.map((entry) => `  - ${entry}`)];
  const lines = entries.length === 0 ? [] : listed;
  if (outcome?.kind === 'failed' && outcome.code === 'setup_failed') lines.push('setup:', '  - <a command that prepares a fresh clone>');
  lines.push(...testAdvice(report));
  const vain = vainSentences(forbiddenEntries(report), untakable);
  if (lines.length === 0) return folded('Hosts that no settings can open', vain);
  const more = missed.length > maxEntries ? ` Of ${missed.length} entries, the first ${maxEntries}.` : '';
  const caution = entries.length === 0 ? '' : ` Allow a host only when you know why the run wants it.${more}`;
  const advice = [`In \`.github/mayfly.yml\` on the default branch.${caution}`, '', fenced(lines.join('\n'), 4000)];
  return folded('Settings that would have helped', [...advice, ...vain.flatMap((sentence) => ['', sentence])]);
}

/** What nobody should write into the settings, because it would have no effect there, or could not stand there. */
function vainSentences(forbidden: readonly string[], untakable: readonly string[]): readonly string[] {
  const them = forbidden.length === 1 ? 'it' : 'them';
  const ask = `if you need ${them}, ask for ${them} to be added to \`MAYFLY_ALLOWED_HOSTS\``;
  return [
    ...(forbidden.length === 0 ? [] : [`The operator of this installation does not allow ${someOf(forbidden)}; ${ask}.`]),
    ...(untakable.length === 0 ? [] : [`No settings can allow ${someOf(untakable)}: they take names of hosts, and the methods ${ruleMethods.join(', ')}.`]),
  ];
}

function someOf(entries: readonly string[]): string {
  const shown = entries.slice(0, maxEntries).map((entry) => inlineCode(entry, 200));
  return `${shown.join(', ')}${entries.length > maxEntries ? ` and ${entries.length - maxEntries} more` : ''}`;
}

function partition(texts: readonly string[], fits: (text: string) => boolean): readonly [readonly string[], readonly string[]] {
  return [texts.filter(fits), texts.filter((text) => !fits(text))];
}

/** A quoted string of JSON is one of YAML, whatever is in it. */
function testAdvice({ proof }: RunReport): readonly string[] {
  if (proof === null) return [];
  if (proof.verdict === 'nothing_to_run') return ['test: <the command that runs the tests>'];
  const command = proof.patched?.command ?? proof.base?.command;
  return proof.source === 'the agent' && command !== undefined ? [`test: ${JSON.stringify(command.slice(0, 500))}`] : [];
}

export const footer = (runId: string): string => `<sub>run ${runId}</sub>`;
