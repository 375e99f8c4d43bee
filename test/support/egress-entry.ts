/** An attempt to get out that was refused, as a report has it; a test says what is different. */
import type { RunReport } from '../../src/fix/report.ts';

export const refusedAttempt: RunReport['egress'][number] = {
  at: '',
  vm: 'agent',
  phase: 'agent',
  method: 'CONNECT',
  host: 'x',
  port: 443,
  path: null,
  decision: 'refused',
  rule: 'not on the list',
  wouldAllow: null,
  beyondCeiling: null,
  bytesIn: 0,
  bytesOut: 0,
};
