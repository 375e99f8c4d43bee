import { describe, expect, it } from 'vitest';
import { describeReached, describeRefused, describeUnlisted, egressOf, groupByHost } from '../../../src/fix/egress.ts';
import type { EgressEntry } from '../../../src/fix/egress.ts';
import { doneLines } from '../../../src/bot/comment-texts.ts';
import { createReport } from '../../../src/fix/report.ts';

const entry = (more: Partial<EgressEntry>): EgressEntry => ({
  vm: 'agent',
  at: '2026-01-01T00:00:00Z',
  phase: 'agent',
  method: 'CONNECT',
  host: 'example.org',
  port: 443,
  path: null,
  decision: 'refused',
  rule: 'not on the list',
  wouldAllow: 'example.org',
  beyondCeiling: null,
  bytesIn: 10,
  bytesOut: 1,
  ...more,
});
const npm = { host: 'registry.npmjs.org', phase: 'setup', decision: 'allowed', rule: 'allow registry.npmjs.org' } as const;
const entries = [
  entry(npm),
  entry({ ...npm, rule: 'allow registry.npmjs.org; closed by phase agent' }),
  entry({}),
  entry({}),
  entry({ phase: 'proof', vm: 'proof' }),
  entry({ phase: 'setup', vm: 'proof2', rule: 'private address' }),
  entry({ host: '@all`x' }),
];

describe('what tried to leave', () => {
  it('is one entry a host, with what differs counted', () => {
    const [registry, example, ...others] = groupByHost(entries);

    expect(registry).toEqual({
      host: 'registry.npmjs.org',
      attempts: [{ vm: 'agent', phase: 'setup', port: 443, decision: 'allowed', rule: 'allow registry.npmjs.org', count: 2, bytesIn: 20, bytesOut: 2 }],
    });
    expect(example?.attempts.map(({ vm, phase, count }) => [vm, phase, count])).toEqual([
      ['agent', 'agent', 2],
      ['proof', 'proof', 1],
      ['proof2', 'setup', 1],
    ]);
    expect(others).toHaveLength(1);
  });

  it('is one line for each refused host', () => {
    expect(describeRefused(entries, (host) => host)[0]).toBe(
      'example.org: 2 times during the work of the agent (not on the list), once during the proof (not on the list), once during setup for proof 2 (private address)',
    );
    expect(describeRefused(entries, (host) => host)).toHaveLength(2);
  });

  it('has what came after the ledger was full in sums, and says so', () => {
    const { vm: _vm, ...line } = entry({});
    const gateway = { ledger: [line], unlisted: [{ ...line, host: 'other hosts', wouldAllow: null, count: 12, bytesIn: 70 }] };

    expect(groupByHost(egressOf(gateway, 'agent')).map(({ host, attempts }) => [host, attempts[0]?.count, attempts[0]?.bytesIn])).toEqual([
      ['example.org', 1, 10],
      ['other hosts', 12, 70],
    ]);
    expect(describeRefused(egressOf(gateway, 'agent'), (host) => host)[1]).toBe('other hosts: 12 times during the work of the agent (not on the list)');
    expect(describeUnlisted(gateway, 'agent')).toBe('VM "agent" tried 13 times to get out: of the last 12 attempts only the sums were kept.');
    expect(describeUnlisted({ ...gateway, unlisted: [] }, 'agent')).toBeNull();
  });

  it('is told of every host that was reached, with how often, where, and how much', () => {
    const proof = entry({ ...npm, phase: 'proof', vm: 'proof', bytesIn: 5 });

    expect(describeReached([...entries, proof])).toEqual([
      { host: 'registry.npmjs.org', attempts: '2 during setup for the agent, 1 during the proof', bytesIn: 25, bytesOut: 3 },
    ]);
  });

  it('stays readable and harmless in a comment', () => {
    const many = Array.from({ length: 30 }, (_, index) => entry({ host: `h${index}.example.org` }));
    const comment = doneLines({ ...createReport('r1'), egress: [...entries, ...many] }, { kind: 'no_change' }).join('\n');

    expect(comment).toContain('<summary>Hosts that were refused</summary>\n\n- `example.org`: 2 times during the work of the agent (not on the list)');
    expect(comment).toContain('- ``@all`x``: once');
    expect(comment).toMatch(/- and 12 more\n/);
    expect(comment).toContain('| `registry.npmjs.org` | 2 during setup for the agent | 20 B | 2 B |');
    expect(comment).toContain('allow:\n  - example.org\n');
  });
});
