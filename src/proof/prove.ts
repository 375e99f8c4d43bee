/**
 * The proof: in a clean VM, made from base and setup only, the host runs the same tests on the base, on the base with the
 * patch's test files, and on the base with the whole patch. Command and test configuration are those of the base.
 */
import type { Patch, PatchFile, Proof, TestRun } from '../job.ts';
import type { ExecResult, Sandbox } from '../sandbox/sandbox.ts';
import { applyPatch } from './apply.ts';
import { withBaseRules } from './base-rules.ts';
import type { ReadBase } from './base-rules.ts';
import { findWeakenedTests } from './findings.ts';
import { readFailing } from './failing.ts';
import { isManifest, isTestFile } from './paths.ts';
import { dropReports, readReports } from './report-files.ts';
import { namesOf, readStates, summarise } from './results.ts';
import { judge, treeNames, whyUnusable } from './verdict.ts';
import type { Judgement, Observations, Observed } from './verdict.ts';

export interface ProofOptions {
  readonly command: string;
  /** Where the command came from, in words. */
  readonly source: string;
  readonly patch: Patch;
  readonly readBase: ReadBase;
  /** For all runs of the tests together. */
  readonly timeoutMs: number;
  /** What the setup commands made is made of the base: it has to be made again of the patch. */
  readonly setupBuilds: boolean;
  /** Runs the setup commands once more, when the patch changes what is to be installed or built. */
  readonly setUpAgain: () => Promise<Rerun>;
  /** For people who watch: each run of the tests when it has ended. */
  readonly onRun?: (tree: string, run: TestRun) => void;
  readonly signal: AbortSignal;
}

/** How it went to run the setup commands once more. */
export interface Rerun {
  /** The command that failed; null when none did. */
  readonly failed: ExecResult | null;
  /** What kept it from its work and is no fault of the patch, as the rest of a sentence. */
  readonly barred: string | null;
  /** Something was to be run with sudo, and was not. */
  readonly leftOut: boolean;
}

/** What is said when no test command is known: nothing was proven. */
export const nothingToRun: Proof = {
  verdict: 'nothing_to_run',
  reason: 'no test command is known',
  source: null,
  base: null,
  tests: null,
  patched: null,
  repeats: [],
  flaky: [],
  fixed: [],
  broken: [],
  findings: [],
};

/** `sandbox` is fresh, with setup done: no agent was ever in it. Throws `sandbox_lost`. */
export async function prove(sandbox: Sandbox, options: ProofOptions): Promise<Proof> {
  const { patch, touched } = await withBaseRules(options.patch, options.command, options.readBase);
  const weak = await findWeakenedTests(options.patch, options.readBase);
  const { again, ...trees } = await observe(sandbox, patch, options);
  const seen = withOneSource(trees);
  const findings = [
    ...(touched.length > 0
      ? [`The patch changes what decides how tests are run: ${touched.join(', ')}. Where it could, the proof took what the base has.`]
      : []),
    ...(patch.files.some(isTest) ? [] : ['The patch has no test of its own.']),
    ...weak,
    ...(again?.leftOut === true ? ['What setup installs with sudo is that of the base: it was not run again with the patch.'] : []),
    ...describeNewTests(seen),
  ];
  const cap = touched.length > 0 ? 'the patch changes what decides how tests are run' : weak.length > 0 ? 'the patch takes tests away' : null;
  const { verdict, reason, ...names } = typeof again?.barred === 'string' ? asBarred(again.barred) : judge(seen, cap);
  const repeats = (['base', 'tests', 'patched'] as const).flatMap((tree) => seen[tree].slice(1).map(({ run }) => ({ tree, ...run })));
  const [base, tests, patched] = [seen.base, seen.tests, seen.patched].map(([first]) => first?.run ?? null);
  const shown = { flaky: names.flaky.slice(0, maxShownNames), fixed: names.fixed.slice(0, maxShownNames), broken: names.broken.slice(0, maxShownNames) };
  return { verdict, reason, source: options.source, base: base ?? null, tests: tests ?? null, patched: patched ?? null, repeats, ...shown, findings };
}

/** A test that passes without the fix, too, guards something, and proves nothing. */
function describeNewTests({ base, tests, patched }: Observations): readonly string[] {
  const [before, apart, after] = [base[0]?.states, tests[0]?.states, patched[0]?.states];
  if (!before || !apart || !after) return [];
  const fresh = namesOf(after, 'passed').filter((name) => !before.has(name));
  const either = fresh.filter((name) => apart.get(name) === 'passed').length;
  return either === 0 || either === fresh.length ? [] : [`Of ${fresh.length} new tests, ${either} pass with and without the fix.`];
}

const maxShownNames = 50;
const isTest = ({ path, change }: PatchFile): boolean => change.kind === 'write' && isTestFile(path);

const asBarred = (reason: string): Judgement => ({ verdict: 'could_not_run', reason, flaky: [], fixed: [], broken: [] });

interface Trees extends Observations {
  /** The last time that setup was run again; null when it was not. */
  readonly again: Rerun | null;
}

/** The three trees, one after the other in the same place. What cannot be run on the base is not tried any further. */
async function observe(sandbox: Sandbox, patch: Patch, options: ProofOptions): Promise<Trees> {
  const watch = createWatch(sandbox, options);
  const base = await watch('base');
  if (base[0] === undefined || whyUnusable(base[0].run) !== null) return { base, tests: [], patched: [], again: null };
  // What the tests of the patch need to be installed comes with them; a missing package is no missing fix.
  const testFiles = patch.files.filter((file) => isTest(file) || isManifest(file.path));
  // A patch that is nothing but tests has no third tree.
  const apart = testFiles.some(isTest) && testFiles.length < patch.files.length;
  if (apart) await applyPatch(sandbox, { ...patch, files: testFiles }, options.signal);
  const installs = patch.files.some(({ path }) => isManifest(path));
  let again = apart && installs ? await options.setUpAgain() : null;
  if (again !== null && again.failed !== null) return { base, tests: [], patched: [asFailedSetup(again.failed)], again };
  const tests = apart ? await watch('tests', { timeoutMs: apartLimitMs(base[0].run) }) : [];
  await applyPatch(sandbox, patch, options.signal);
  if (options.setupBuilds || (installs && !apart)) again = await options.setUpAgain();
  if (again !== null && again.failed !== null) return { base, tests, patched: [asFailedSetup(again.failed)], again };
  const before = tests[0] ?? base[0];
  // Passing decides when it did not pass before: chance must not look like a fix.
  return { base, tests, patched: await watch('patched', { passingDecides: before.run.exitCode !== 0 }), again };
}

/** Names of two sources cannot be compared: files speak for all trees, or for none. A tree that does not compile has none. */
export function withOneSource(seen: Observations): Observations {
  const speaks = ([first]: readonly Observed[]): boolean => first !== undefined && first.reported !== null && first.reported.size > (first.states?.size ?? 0);
  if (!speaks(seen.base) || !speaks(seen.patched)) return seen;
  // Tests that pass were run, and those who ran them should have written files: without, what is missing in them is unknown, not new.
  const [apart] = seen.tests;
  if (apart?.reported === null && apart.states !== null && namesOf(apart.states, 'passed').length > 0) return seen;
  const take = (runs: readonly Observed[]): readonly Observed[] => runs.map((one) => ({ ...one, states: one.reported }));
  return { base: take(seen.base), tests: take(seen.tests), patched: take(seen.patched) };
}

const asFailedSetup = (failed: ExecResult): Observed => ({ run: asTestRun('the setup commands', failed), states: null, reported: null, failing: null });

/** A run that takes a larger share of the whole time is not repeated. */
const repeatShare = 1 / 8;

type Watch = (tree: keyof Observations, options?: { passingDecides?: boolean; timeoutMs?: number }) => Promise<readonly Observed[]>;

/** Tests that hang without the fix must leave time to see them pass with it. */
const apartLimitMs = (base: TestRun): number => Math.max(60_000, base.durationMs * 5);

/** Runs the tests, and once more what decides: every failure, and passing where it does. */
function createWatch(sandbox: Sandbox, { command, timeoutMs, signal, onRun }: ProofOptions): Watch {
  const startedAt = performance.now();
  let withFiles = true;
  const once = async (name: string, most: number): Promise<Observed> => {
    const left = Math.max(1000, timeoutMs - (performance.now() - startedAt));
    const observed = await runTests(sandbox, command, { timeoutMs: Math.min(left, most), withFiles, signal });
    // What has no report files on the base is compared without them.
    if (name === treeNames.base) withFiles = observed.reported !== null;
    onRun?.(name, observed.run);
    return observed;
  };
  return async (tree, { passingDecides = false, timeoutMs: most = timeoutMs } = {}) => {
    const first = await once(treeNames[tree], most);
    const decides = whyUnusable(first.run) === null && (first.run.exitCode !== 0 || passingDecides);
    return decides && first.run.durationMs < timeoutMs * repeatShare ? [first, await once(`${treeNames[tree]}, again`, most)] : [first];
  };
}

/** Makes runners name every test, beside what they print anyway. */
const telling = { PYTEST_ADDOPTS: '-rap', GOFLAGS: '-v' };
// oxlint-disable-next-line no-control-regex -- terminal escapes begin with one
const colours = /\u001B\[[0-9;]{0,32}m/g;
/** Large enough for the names of all tests of a large suite. */
const maxReadBytes = 4 * 2 ** 20;
const maxShownCharacters = 32_768;

interface TestsOptions {
  readonly timeoutMs: number;
  /** Whether report files that the runner writes are looked for. */
  readonly withFiles?: boolean;
  readonly signal: AbortSignal;
}

/** One run of the tests, told to name them. Throws `sandbox_lost`. */
export async function runTests(sandbox: Sandbox, command: string, { timeoutMs, withFiles = true, signal }: TestsOptions): Promise<Observed> {
  const merged = 'exec 2>&1; eval "$1"';
  const fresh = withFiles && (await dropReports(sandbox, signal));
  const result = await sandbox.exec(['bash', '-c', merged, 'bash', command], { env: telling, timeoutMs, signal, maxOutputBytes: maxReadBytes });
  if (result.ended === 'cancelled') signal.throwIfAborted();
  const stdout = result.stdout.replace(colours, '');
  const states = readStates(stdout);
  const reported = fresh && result.ended === 'exited' ? await readReports(sandbox, { exitCode: result.exitCode, stdout }, signal) : null;
  const fuller = reported !== null && reported.size > (states?.size ?? 0) ? reported : states;
  return { run: { ...asTestRun(command, { ...result, stdout }), results: summarise(fuller, stdout) }, states, reported, failing: readFailing(stdout, states) };
}

/** Any command as if it ran tests. */
export function asTestRun(command: string, { ended, exitCode, durationMs, stdout, stderr }: ExecResult): TestRun {
  const output = clipMiddle(`${stdout}${stderr}`, maxShownCharacters);
  return { command, exitCode, ended: ended === 'output_sink' ? 'cancelled' : ended, durationMs, output, results: null };
}

function clipMiddle(text: string, maxCharacters: number): string {
  const half = maxCharacters / 2;
  const left = text.length - maxCharacters;
  return left <= 0 ? text : `${text.slice(0, half)}\n[${left} characters left out]\n${text.slice(-half)}`;
}
