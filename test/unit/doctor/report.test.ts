import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { notChecked, ok, problem, warning } from '../../../src/doctor/check.ts';
import type { Finding } from '../../../src/doctor/check.ts';
import { isHealthy, renderReport } from '../../../src/doctor/report.ts';

const findings: readonly Finding[] = [
  { group: 'host', name: 'clock', ...ok('agrees with GitHub') },
  { group: 'redis', name: 'persistence', ...problem('nothing is kept: a restart loses every queued run', 'redis-cli CONFIG SET appendonly yes') },
  { group: 'host', name: 'disk', ...warning('5 GiB free', 'Free some space') },
  { group: 'github', name: 'app', ...notChecked('APP_ID\u001B[2J is\nnot set') },
];
const provider = { name: 'qemu', why: 'guests run on KVM' };

test('a terminal gets a table by groups, with advice below what it is about', () => {
  const lines = renderReport({ findings, provider }, { columns: 60, isTerminal: true }).map(stripVTControlCharacters);

  expect(lines).toEqual([
    'host',
    '  ✓ clock        agrees with GitHub',
    '  ! disk         5 GiB free',
    '                 → Free some space',
    '',
    'redis',
    '  ✗ persistence  nothing is kept: a restart loses every',
    '                 queued run',
    '                 → redis-cli CONFIG SET appendonly yes',
    '',
    'github',
    '  · app          APP_ID is not set',
    '',
    '1 problem, 1 warning, 1 not checked.',
    'A run here uses qemu: guests run on KVM.',
  ]);
});

test('a log gets words for the symbols, and no colours', () => {
  const text = renderReport({ findings, provider }, { columns: 140, isTerminal: false }).join('\n');

  expect(text).toContain('  problem     persistence  nothing is kept');
  expect(text).toBe(stripVTControlCharacters(text));
});

test('only a problem is unhealthy', () => {
  expect(isHealthy(findings)).toBe(false);
  expect(isHealthy(findings.filter(({ status }) => status !== 'problem'))).toBe(true);
});
