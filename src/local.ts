/** `mayfly fix`: the same run as the worker's, on a repository without GitHub; the patch becomes a file. */
import { constants } from 'node:fs';
import { access, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import type { CommandContext } from './command-line.ts';
import { FixError, asFixError } from './errors.ts';
import { listCapabilities } from './fix/capabilities.ts';
import { describeRefused, groupByHost } from './fix/egress.ts';
import { modelSentence, sentence, spent } from './fix/outcome-text.ts';
import { proofSentence } from './fix/proof-text.ts';
import { writeGitPatch } from './fix/git-patch.ts';
import { visible } from './fix/neutral.ts';
import { findForbiddenHost, findUnreadableHost } from './fix/plan.ts';
import { createReport } from './fix/report.ts';
import type { RunReport } from './fix/report.ts';
import { runFix } from './fix/run.ts';
import type { RunResult, RunTools } from './fix/run-request.ts';
import type { Snapshot } from './git/mirror.ts';
import { newRunId } from './job.ts';
import type { Patch, ProviderName } from './job.ts';
import { createOperator } from './operator.ts';
import { createMirrorsFrom, createRunTools } from './run-tools.ts';
import type { Operator } from './settings/operator.ts';
import { createTimeline } from './timeline.ts';

export interface LocalOptions {
  readonly repo: string;
  readonly issue: string;
  readonly base?: string;
  readonly setup?: readonly string[];
  readonly test?: string;
  readonly allow?: readonly string[];
  readonly provider?: ProviderName;
  readonly model?: string;
  readonly out: string;
  readonly json?: boolean;
}

/** A run that ended by itself but has no finished patch: nothing to change, a limit, a refusal. */
const withoutPatchExitCode = 5;

/** Returns the exit code: 0 when a patch was written, 5 when the run ended without one. Throws FixErrors for the rest. */
export async function fixLocally(options: LocalOptions, context: CommandContext): Promise<number> {
  const report = createReport(newRunId());
  let snapshot: Snapshot | null = null;
  const error = await settle(report, context.signal, async () => {
    await checkOptions(options, createOperator(context.config));
    const issue = await readIssue(options.issue);
    const tools = await openTools(options, context);
    const mirrors = createMirrorsFrom(context.config, context.log);
    const timeline = createTimeline((line) => console.error(line), process.stderr.isTTY);
    timeline.say(`VMs by ${tools.provider.name}, because ${tools.providerReason}`);
    return await runFix(
      {
        issue: { ...issue, instruction: null, conversation: null },
        wishes: { setup: options.setup ?? null, test: options.test ?? null, allow: options.allow ?? [], model: options.model ?? null },
        fetch: async (signal) => (snapshot = await mirrors.fetch({ url: locate(options.repo), token: null, ref: options.base ?? null }, signal)),
        pinnedSha: null,
        report,
        budget: null,
        onEvent: timeline.event,
        signal: context.signal,
        log: context.log,
      },
      tools,
    );
  });
  // What was done before a failure is worth keeping. Not the run's signal: it may be what ended the run.
  const signal = error === null ? context.signal : AbortSignal.timeout(60_000);
  const writing = report.patch && snapshot ? writePatch(options.out, report.patch, snapshot, signal) : null;
  const patchFile = error === null ? await writing : ((await writing?.catch(() => null)) ?? null);
  if (options.json) printJson(report, patchFile, error);
  else if (error === null) printResult(report, patchFile);
  else printFailure(report, patchFile);
  if (error !== null) throw error;
  return report.outcome?.kind === 'patched' && report.leftovers.length === 0 ? 0 : withoutPatchExitCode;
}

/** What runs need here, with the command line's word over the operator's; what an earlier process left is gone then. */
export async function openTools(options: Pick<LocalOptions, 'provider' | 'model'>, context: CommandContext): Promise<RunTools> {
  const config = { ...context.config, MAYFLY_PROVIDER: options.provider ?? context.config.MAYFLY_PROVIDER };
  const tools = await createRunTools(config, { ...context, model: options.model ?? config.MAYFLY_MODEL });
  await tools.provider.sweep();
  return tools;
}

/** Brings a run to its outcome in the report. Returns what it failed with, or null. */
export async function settle(report: RunReport, signal: AbortSignal, run: () => Promise<RunResult>): Promise<FixError | null> {
  try {
    const result = await run();
    report.outcome = result.kind === 'ready' ? { kind: 'patched' } : result.kind === 'planned' ? { kind: 'planned' } : result.outcome;
    return null;
  } catch (thrown) {
    const error = asFixError(signal.aborted ? signal.reason : thrown);
    report.outcome = error.code === 'cancelled' ? { kind: 'cancelled' } : { kind: 'failed', code: error.code };
    return error;
  }
}

const locate = (repository: string): string => (/^https?:\/\//.test(repository) ? repository : resolve(repository));

/** A text with a space in it is the issue itself; anything else names a file. */
async function readIssue(given: string): Promise<{ title: string; body: string }> {
  const text = /\s/.test(given.trim()) ? given : await readIssueFile(given);
  if (given.endsWith('.json') && text !== given) {
    const { title, body } = parseIssueJson(text);
    return { title, body };
  }
  const [title = '', ...rest] = text.trim().split('\n');
  return { title: title.replace(/^#+\s*/, '').slice(0, 1024), body: rest.join('\n').trim().slice(0, 65_536) };
}

async function readIssueFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new FixError('issue_unreadable', { cause, details: { reason: basename(path) } });
  }
}

function parseIssueJson(text: string): { title: string; body: string } {
  try {
    const value = JSON.parse(text) as { title?: unknown; body?: unknown };
    if (typeof value.title === 'string' && typeof value.body === 'string') return { title: value.title, body: value.body };
  } catch {
    // Falls through to the one error.
  }
  throw new FixError('issue_unreadable', { details: { reason: 'the JSON file needs the texts "title" and "body"' } });
}

async function writePatch(file: string, patch: Patch, snapshot: Snapshot, signal: AbortSignal): Promise<string> {
  await writeFile(file, await patchText(patch, snapshot, signal));
  return resolve(file);
}

/** As `git apply` takes it. */
export async function patchText(patch: Patch, snapshot: Snapshot, signal: AbortSignal): Promise<string> {
  const tree = await snapshot.tree(signal);
  return await writeGitPatch(patch.files, async (path) => {
    const entry = tree.get(path);
    if (!entry) return null;
    const content = await snapshot.readFile(path, entry.size ?? 0, signal);
    return content && { mode: entry.mode, content };
  });
}

/** What would only fail when the work is done, looked at before it begins. */
async function checkOptions({ out, allow = [] }: LocalOptions, operator: Operator): Promise<void> {
  const host = findUnreadableHost(allow);
  if (host !== null) throw new FixError('usage', { details: { reason: `--allow takes the name of a host, not ${JSON.stringify(host.slice(0, 100))}` } });
  const beyond = findForbiddenHost(allow, operator);
  if (beyond !== null) throw new FixError('usage', { details: { reason: `--allow ${beyond.host.slice(0, 100)} is beyond what ${beyond.variable} allows` } });
  try {
    await access(dirname(resolve(out)), constants.W_OK);
    if ((await stat(out).catch(() => null))?.isDirectory()) throw new Error('it is a folder itself');
  } catch (cause) {
    throw new FixError('usage', { cause, details: { reason: `--out names no file that can be written: ${out}` } });
  }
}

/** The error itself is told by the command line. */
function printFailure(report: RunReport, patchFile: string | null): void {
  const { notes, leftovers } = report;
  for (const note of notes) console.error(visible(note));
  if (patchFile) console.error(`Patch: ${patchFile}  (unfinished)`);
  for (const line of spentLines(report)) console.error(line);
  for (const left of leftovers) console.error(`Left behind: ${left}`);
}

function printJson(report: RunReport, patchFile: string | null, error: FixError | null): void {
  console.log(JSON.stringify({ ...describeRun(report, error), patchFile }));
}

/** A run for programs to read. */
export function describeRun(report: RunReport, error: FixError | null): Record<string, unknown> {
  const {
    outcome,
    patch,
    summary,
    proof,
    steps,
    usage,
    costUsd,
    models,
    transcriptFile,
    sandbox,
    egress,
    timingsMs,
    vms,
    leftovers,
    notes,
    node,
    template,
    context,
  } = report;
  const reason = outcome && 'reason' in outcome ? outcome.reason : outcome && 'limit' in outcome ? outcome.limit : undefined;
  return {
    outcome: outcome?.kind,
    ...(reason && { reason }),
    ...(error && { error: { code: error.code, message: error.message } }),
    runId: report.runId,
    files: patch?.files.map((file) => file.path) ?? [],
    summary,
    context,
    capabilities: listCapabilities(report),
    proof,
    steps,
    usage,
    costUsd,
    models,
    transcriptFile,
    sandbox: sandbox && { ...sandbox, reason: report.providerReason },
    node,
    template,
    egress: groupByHost(egress),
    timingsMs,
    vms,
    leftovers,
    notes,
  };
}

/** Nothing, when no model was asked. */
const spentLines = (report: RunReport): readonly string[] =>
  report.models.length === 0 ? [] : [`Spent: ${spent(report)}`, modelSentence(report.models, visible)];

function printResult(report: RunReport, patchFile: string | null): void {
  const { outcome } = report;
  if (outcome) console.log(`\n${sentence(outcome)}`);
  if (report.proof) console.log(proofSentence(report.proof));
  for (const note of report.notes) console.log(visible(note));
  if (report.summary !== '') console.log(`\n${visible(report.summary)}\n`);
  if (patchFile) console.log(`Patch: ${patchFile}${outcome?.kind === 'patched' ? '  (git apply takes it)' : '  (unfinished)'}`);
  for (const line of spentLines(report)) console.log(line);
  if (report.transcriptFile) console.log(`Transcript: ${report.transcriptFile}`);
  for (const { name, granted, by, refused } of listCapabilities(report)) {
    console.log(visible(`Granted: ${name}: ${granted} (${by})${refused.length === 0 ? '' : `; refused: ${refused.join(', ')}`}`));
  }
  for (const line of describeRefused(report.egress, visible)) console.log(`Refused: ${line}`);
  for (const left of report.leftovers) console.log(`Left behind: ${left}`);
}
