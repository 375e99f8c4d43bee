/** Makes the work tree of a clean guest what a patch says. */
import { FixError } from '../errors.ts';
import type { Patch } from '../job.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

// As git's own checkout: folders that become empty go, too.
const deleteScript = `
for path; do
  rm -f -- "$path"
  folder=$(dirname -- "$path")
  [ ! -d "$folder" ] || rmdir -p --ignore-fail-on-non-empty -- "$folder" 2>/dev/null || true
done`;
/** What a setup command left where the patch has a file. */
const clearScript = `for path; do if [ -d "$path" ] && [ ! -L "$path" ]; then rm -rf -- "$path"; fi; done`;

/** Can be done again with more files. Throws `sandbox_lost`, `guest_disk_full`. */
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
