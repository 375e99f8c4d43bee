import { describe, expect, it } from 'vitest';
import { createMaking } from '../../../src/fix/make-template.ts';
import { createReport, createTimer } from '../../../src/fix/report.ts';
import type { WorkspaceOptions } from '../../../src/fix/workspace.ts';
import type { Gateway, LedgerEntry } from '../../../src/gateway/gateway.ts';
import { startRunUsage } from '../../../src/gateway/run-usage.ts';
import type { Provider } from '../../../src/sandbox/sandbox.ts';
import { captureLog } from '../../support/capture-log.ts';
import { createFakeSandbox } from '../../support/fake-sandbox.ts';
import { barePlan } from '../../support/plan.ts';

const attempt: LedgerEntry = {
  at: '2026-11-28T00:00:00Z',
  phase: 'setup',
  method: 'CONNECT',
  host: 'evil.example',
  port: 443,
  path: null,
  decision: 'refused',
  rule: 'not on the list',
  wouldAllow: 'evil.example',
  beyondCeiling: null,
  bytesIn: 0,
  bytesOut: 0,
};

describe('the VM of a repository template', () => {
  it('leaves in the log what it tried to reach, since no report is about it, and counts apart from the run before it', async () => {
    const { log, lines } = captureLog();
    const report = createReport('r1');
    const gateway: Gateway = {
      authority: () => Promise.resolve(''),
      accept: () => {},
      enter: () => {},
      ledger: [attempt],
      unlisted: [{ ...attempt, count: 7 }],
      close: () => Promise.resolve(),
    };
    const provider: Provider = {
      boot: () => Promise.reject(new Error('not asked')),
      sweep: () => Promise.resolve([]),
      layers: null,
    } as unknown as Provider;
    const making = createMaking({
      provider,
      // The fake has no ports, so the setup ends there: what was tried until then is told all the same.
      maker: { key: () => Promise.resolve('key'), largestBytes: () => 1, make: async (_spec, _file, fill) => await fill(createFakeSandbox()) },
      layers: {
        list: () => Promise.resolve([]),
        keep: async (_name: unknown, _keeping: unknown, fill: (file: string) => Promise<unknown>) => await fill('/layer'),
      } as never,
      onKept: () => {},
      availableMib: () => 100_000,
      log,
    });
    const usages: unknown[] = [];
    const openGateway: WorkspaceOptions['openGateway'] = (_phase, _allow, usage) => {
      usages.push(usage);
      return gateway;
    };
    const options = { id: 'r1-agent', openGateway, plan: barePlan, report, timed: createTimer({ report, onEvent: () => {} }), image: null };

    making.later(
      { place: 'p', commit: 'c' },
      { ...options, surroundings: { guestEnv: {} }, signal: AbortSignal.timeout(5_000) } as unknown as WorkspaceOptions,
      { server: 's', installation: 1, repository: 2, commit: 'c', readyMs: 1 },
    );
    await making.idle();

    const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>).find(({ egress }) => egress !== undefined);
    expect(usages).toEqual([startRunUsage()]);
    expect(told).toMatchObject({ runId: 'r1', egress: [{ host: 'evil.example', attempts: [{ decision: 'refused', count: 8 }] }] });
  });
});
