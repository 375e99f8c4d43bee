/** The proof in words: one sentence, the section of a pull request, the check run. Names and output are hostile. */
import type { Proof, TestRun, Verdict } from '../job.ts';
import { fitText, folded } from './fit-text.ts';
import { fenced, inlineCode, neutralise } from './neutral.ts';

const labels: Record<Verdict, string> = {
  proven: 'Proven',
  not_contradicted: 'Not contradicted, which is less than proven',
  regressed: 'Regressed',
  still_failing: 'Not proven',
  flaky: 'Not proven, because the tests are flaky',
  could_not_run: 'Not proven',
  nothing_to_run: 'Nothing was proven',
};

export function proofSentence({ verdict, reason }: Proof): string {
  return `${labels[verdict]}: ${reason}.`;
}

/** Lines. */
export function proofSection(proof: Proof | null): readonly string[] {
  if (!proof || proof.verdict === 'nothing_to_run')
    return ['**Nothing was proven**: no test command is known. Name one with `test:` in `.github/mayfly.yml`.', ''];
  const said = [`**${proofSentence(proof)}**`, table(proof), ...names(proof), findings(proof)].filter((part) => part !== '');
  const parts = [...said.flatMap((part) => [part, '']), ...output('Output with the patch', proof.patched)];
  if (proof.verdict === 'proven') parts.push(...output('Output with the tests of the patch, without its fix', proof.tests));
  if (proof.verdict === 'could_not_run' && !proof.patched) parts.push(...output('Output on the base', proof.base));
  return parts;
}

/** For the check run on the commit: https://docs.github.com/en/rest/checks/runs */
export function proofCheck(proof: Proof): { readonly conclusion: 'success' | 'neutral' | 'failure'; readonly title: string; readonly summary: string } {
  const conclusion = proof.verdict === 'proven' ? 'success' : proof.verdict === 'regressed' ? 'failure' : 'neutral';
  return { conclusion, title: labels[proof.verdict], summary: fitText(proofSection(proof)) };
}

function table({ verdict, source, base, tests, patched, repeats }: Proof): string {
  const command = patched?.command ?? base?.command;
  if (command === undefined) return '';
  const rows = [row('base', base), row('base + tests of the patch', tests), row('base + patch', patched)].filter((line) => line !== '');
  const agreed = verdict === 'flaky' ? '' : ', with the same result';
  const again = repeats.length === 0 ? '' : ` What decides was run twice${agreed}.`;
  const head = [`In a second clean VM, ${inlineCode(base?.command ?? command)} (${neutralise(source ?? 'unknown source', 100)}):`, ''];
  return [...head, '| tree | exit code | tests | time |', '| --- | --- | --- | --- |', ...rows, '', `The host ran this command and no other.${again}`].join(
    '\n',
  );
}

function row(name: string, run: TestRun | null): string {
  if (run === null) return '';
  const { results } = run;
  const counts =
    results === null
      ? '-'
      : [`${results.passed} passed`, `${results.failed} failed`, ...(results.skipped > 0 ? [`${results.skipped} skipped`] : [])].join(', ');
  const end = run.ended === 'exited' ? (run.exitCode ?? 'ended by a signal') : run.ended === 'timeout' ? 'time limit' : run.ended;
  return `| ${name} | ${end} | ${counts} | ${(run.durationMs / 1000).toFixed(1)} s |`;
}

function names({ fixed, broken, flaky }: Proof): readonly string[] {
  return [list('Failed before and pass now', fixed), list('Fail with the patch only', broken), list('Ended differently the second time', flaky)];
}

const maxShownNames = 10;

function list(head: string, all: readonly string[]): string {
  if (all.length === 0) return '';
  const more = all.length > maxShownNames ? `\n- and ${all.length - maxShownNames}${all.length >= 50 ? ' or' : ''} more` : '';
  return `${head}:\n\n${all
    .slice(0, maxShownNames)
    .map((name) => `- ${inlineCode(name, 200)}`)
    .join('\n')}${more}`;
}

const findings = (proof: Proof): string =>
  proof.findings
    .slice(0, 10)
    .map((finding) => `- ${neutralise(finding.replace(/\s+/g, ' '), 600)}`)
    .join('\n');

const output = (head: string, run: TestRun | null): readonly string[] =>
  run === null || run.output.trim() === '' ? [] : folded(head, [fenced(run.output.slice(-6000), 6000)]);
