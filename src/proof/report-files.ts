/**
 * Report files that runners write by themselves: surefire and failsafe of Maven, Gradle, and the `junit.xml` of many
 * others. What lies there before a run is taken away, so that only that run speaks. Files that git tracks are fixtures
 * and are left alone.
 */
import type { Sandbox } from '../sandbox/sandbox.ts';
import { readCounts } from './counts.ts';
import { readJunit } from './junit.ts';
import { createStateList, namesOf } from './results.ts';
import type { TestStates } from './results.ts';

const listing = `
export LC_ALL=C
tracked=$(mktemp) && trap 'rm -f "$tracked"' EXIT
git ls-files -z | sort -z > "$tracked"
reports() {
  find . \\( -name node_modules -o -name .git \\) -prune -o -type f \\( -path '*/target/surefire-reports/TEST-*.xml' -o \\
    -path '*/target/failsafe-reports/TEST-*.xml' -o -path '*/build/test-results/*/TEST-*.xml' -o -name junit.xml \\) -printf '%P\\0' |
    sort -z | comm -z -23 - "$tracked"
}
`;
const dropScript = `${listing}
reports | xargs -0 -r rm -f --
[ "$(reports | wc -c)" = 0 ]
`;
const readScript = `${listing}
reports | xargs -0 -r cat -- | head -c "$1"
`;

const maxBytes = 8 * 2 ** 20;
const timeoutMs = 60_000;

/** Before a run. False when something stays: then nothing can be said from files. */
export async function dropReports(sandbox: Sandbox, signal: AbortSignal): Promise<boolean> {
  const { exitCode } = await sandbox.exec(['sh', '-c', dropScript], { signal, timeoutMs });
  return exitCode === 0;
}

/** After a run. Null when there is no report, or too much of it, or when it is not what the exit code and the output say. */
export async function readReports(sandbox: Sandbox, run: { exitCode: number | null; stdout: string }, signal: AbortSignal): Promise<TestStates | null> {
  const { stdout, clippedBytes, exitCode } = await sandbox.exec(['sh', '-c', readScript, 'sh', String(maxBytes)], {
    signal,
    timeoutMs,
    maxOutputBytes: maxBytes,
  });
  if (exitCode !== 0 || clippedBytes > 0 || Buffer.byteLength(stdout) >= maxBytes) return null;
  return believe(stdout, run);
}

/** Pure: the text of the files beside what the run said by itself. */
export function believe(text: string, { exitCode, stdout }: { exitCode: number | null; stdout: string }): TestStates | null {
  const { list, states } = createStateList();
  if (!readJunit(text, list) || states.size === 0) return null;
  const failed = namesOf(states, 'failed').length;
  const counts = readCounts(stdout);
  const agrees = (exitCode === 0) === (failed === 0) && (counts === null || counts.failed === failed);
  return agrees ? states : null;
}
