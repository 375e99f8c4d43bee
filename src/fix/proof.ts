/**
 * The proof: a second clean VM, made from base and setup only, runs the tests on base and on base plus patch.
 * The command comes from the base, and so do the scripts of package.json that it may stand for: a patch does not say what
 * proves it. Exit codes are read by the host; the verdict is the host's.
 */
import { FixError } from '../errors.ts';
import type { Patch, PatchFile, Proof, TestRun, Verdict } from '../job.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { Plan } from './plan.ts';
import type { Workspace } from './workspace.ts';

export interface ProofOptions {
  readonly plan: Plan;
  readonly patch: Patch;
  /** package.json of the base commit. */
  readonly manifest: string | null;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What is said when no test command is known: nothing was proven. */
export const nothingToRun: Proof = { verdict: 'nothing_to_run', source: null, base: null, patched: null };

/** `workspace` is fresh: no agent was ever in it. */
export async function prove(workspace: Workspace, options: ProofOptions): Promise<Proof> {
  const { plan } = options;
  if (plan.test === null) return nothingToRun;
  workspace.gateway.enter('proof', plan.allow.proof);
  const base = await runTests(workspace.sandbox, plan.test, options);
  await applyPatch(workspace.sandbox, withBaseScripts(options.patch, options.manifest), options.signal);
  const patched = await runTests(workspace.sandbox, plan.test, options);
  return { verdict: judge(base, patched), source: plan.testSource, base, patched };
}

/** The patch with the base's scripts in its package.json; the same patch when it does not change them. */
export function withBaseScripts(patch: Patch, manifest: string | null): Patch {
  const before = parseObject(manifest);
  if (before?.['scripts'] === undefined) return patch;
  let changed = false;
  const files = patch.files.map((file): PatchFile => {
    const after = file.path === 'package.json' && file.change.kind === 'write' ? parseObject(Buffer.from(file.change.content).toString('utf8')) : null;
    if (!after || file.change.kind !== 'write' || JSON.stringify(after['scripts']) === JSON.stringify(before['scripts'])) return file;
    changed = true;
    return { ...file, change: { ...file.change, content: Buffer.from(`${JSON.stringify({ ...after, scripts: before['scripts'] }, null, 2)}\n`) } };
  });
  return changed ? { ...patch, files } : patch;
}

function parseObject(text: string | null): Record<string, unknown> | null {
  try {
    const value = JSON.parse(text ?? 'null') as unknown;
    return typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}

/** From two exit codes to a verdict; a run that did not end by itself says nothing. */
export function judge(base: TestRun, patched: TestRun): Verdict {
  if (base.ended !== 'exited' || patched.ended !== 'exited') return 'could_not_run';
  // The shell's own codes for "cannot be run" say something about the command, not about the fix.
  if ([base, patched].some((run) => run.exitCode === 126 || run.exitCode === 127)) return 'could_not_run';
  if (patched.exitCode === 0) return base.exitCode === 0 ? 'not_contradicted' : 'proven';
  return base.exitCode === 0 ? 'regressed' : 'still_failing';
}

async function runTests(sandbox: Sandbox, command: string, { timeoutMs, signal }: ProofOptions): Promise<TestRun> {
  const merged = 'exec 2>&1; eval "$1"';
  const result = await sandbox.exec(['bash', '-c', merged, 'bash', command], {
    timeoutMs,
    signal,
    maxOutputBytes: 32_768,
  });
  if (result.ended === 'cancelled') signal.throwIfAborted();
  return {
    command,
    exitCode: result.exitCode,
    ended: result.ended === 'output_sink' ? 'cancelled' : result.ended,
    durationMs: result.durationMs,
    output: result.stdout,
  };
}

// As git's own checkout: folders that become empty go, too.
const deleteScript = `
for path; do
  rm -f -- "$path"
  folder=$(dirname -- "$path")
  [ ! -d "$folder" ] || rmdir -p --ignore-fail-on-non-empty -- "$folder" 2>/dev/null || true
done`;
/** What a setup command left where the patch has a file. */
const clearScript = `for path; do if [ -d "$path" ] && [ ! -L "$path" ]; then rm -rf -- "$path"; fi; done`;

/** Makes the work tree of a clean guest what the patch says. */
export async function applyPatch(sandbox: Sandbox, patch: Patch, signal: AbortSignal): Promise<void> {
  const paths = (kind: 'write' | 'delete'): readonly string[] => patch.files.filter((file) => file.change.kind === kind).map((file) => file.path);
  await must(sandbox, ['sh', '-c', deleteScript, 'sh', ...paths('delete')], signal);
  await must(sandbox, ['sh', '-c', clearScript, 'sh', ...paths('write')], signal);
  for (const file of patch.files) {
    if (file.change.kind !== 'write') continue;
    await sandbox.put(`/workspace/${file.path}`, file.change.content, { mode: file.change.mode === '100755' ? 0o755 : 0o644, signal });
  }
}

async function must(sandbox: Sandbox, argv: readonly string[], signal: AbortSignal): Promise<void> {
  const result = await sandbox.exec(argv, { signal, timeoutMs: 60_000 });
  if (result.exitCode !== 0) throw new FixError('sandbox_lost', { details: { step: 'apply', stderr: result.stderr.slice(-2000) } });
}
