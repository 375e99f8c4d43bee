/** Takes checks of the doctor as `mayfly doctor` does, and gives the findings by name. */
import { examine } from '../../src/doctor/check.ts';
import type { Check, Finding } from '../../src/doctor/check.ts';

export async function takeLooks(checks: readonly Check[], deadlineMs = 20_000): Promise<Readonly<Record<string, Finding>>> {
  const findings = await examine(checks, { signal: new AbortController().signal, deadlineMs });
  return Object.fromEntries(findings.map((finding) => [finding.name, finding]));
}
