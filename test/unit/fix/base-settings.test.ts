import { describe, expect, it } from 'vitest';
import { narrowLimits, refuseBroken, refuseBySettings } from '../../../src/fix/base-settings.ts';
import type { RunLimits } from '../../../src/fix/run-request.ts';
import { defaults } from '../../../src/settings/values.ts';
import type { Values } from '../../../src/settings/values.ts';

const minute = 60_000;
const limits: RunLimits = {
  agent: { steps: 200, costUsd: 5, tokens: 20_000_000, commandTimeoutMs: 300_000, softTimeMs: 45 * minute, hardTimeMs: 60 * minute },
  patch: { maxFiles: 100, maxBytes: 1000 },
  setupTimeoutMs: 15 * minute,
  proofTimeoutMs: 15 * minute,
  proofRounds: 2,
  ancestors: 50,
};
const withValues = (more: Partial<Values>): Values => ({ ...defaults, ...more });

describe('narrowLimits', () => {
  it('leaves the limits of this process where the settings say nothing less', () => {
    expect(narrowLimits(limits, defaults)).toEqual(limits);
    expect(narrowLimits(limits, withValues({ 'limits.steps': 9999, 'limits.minutes': 999, 'limits.costUsd': 99 }))).toEqual(limits);
  });

  it('takes what is less, and moves the time for wrapping up with the end', () => {
    const values = withValues({
      'limits.minutes': 20,
      'limits.steps': 10,
      'limits.tokens': 1000,
      'limits.costUsd': 1,
      'limits.setupMinutes': 2,
      'limits.commandSeconds': 30,
      'limits.proofMinutes': 3,
    });

    expect(narrowLimits(limits, values)).toMatchObject({
      agent: { steps: 10, tokens: 1000, costUsd: 1, commandTimeoutMs: 30_000, softTimeMs: 15 * minute, hardTimeMs: 20 * minute },
      setupTimeoutMs: 2 * minute,
      proofTimeoutMs: 3 * minute,
      proofRounds: 2,
    });
  });
});

describe('refuseBySettings', () => {
  it('ends the run where Mayfly is turned off, or the wall is weaker than asked for', () => {
    expect(refuseBySettings(withValues({ enabled: false }), 'hardware')).toEqual({ kind: 'refused', reason: 'disabled' });
    expect(refuseBySettings(withValues({ 'sandbox.isolation': 'hardware' }), 'syscall')).toMatchObject({
      reason: 'isolation',
      detail: expect.stringContaining('hardware'),
    });
    expect(refuseBySettings(withValues({ 'sandbox.isolation': 'syscall' }), 'emulation')).toMatchObject({ reason: 'isolation' });
  });

  it('lets the same wall or a stronger one pass', () => {
    expect(refuseBySettings(withValues({ 'sandbox.isolation': 'syscall' }), 'syscall')).toBeNull();
    expect(refuseBySettings(withValues({ 'sandbox.isolation': 'syscall' }), 'hardware')).toBeNull();
    expect(refuseBySettings(defaults, 'emulation')).toBeNull();
  });
});

describe('refuseBroken', () => {
  it('says the first problem, and how many there are', () => {
    const problem = { file: 'f', line: 2, column: 1, key: 'test', message: 'it needs a text, and this is nothing' };

    expect(refuseBroken([problem, problem])).toEqual({
      kind: 'refused',
      reason: 'settings_invalid',
      detail: 'f:2:1 test: it needs a text, and this is nothing (and 1 more)',
    });
  });
});
