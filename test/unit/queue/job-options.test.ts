import { expect, it } from 'vitest';
import { intakeJobOptions, intakePauseMs, maxOutages, outagePauseMs } from '../../../src/queue/job-options.ts';

const hourMs = 3_600_000;
const sum = (count: number, pauseMs: (number: number) => number): number =>
  Array.from({ length: count }, (_, index) => pauseMs(index + 1)).reduce((total, pause) => total + pause, 0);

it('tries an event for a day, with pauses of at most some minutes more than a quarter of an hour', () => {
  const retries = (intakeJobOptions.attempts ?? 0) - 1;

  expect(sum(retries, intakePauseMs)).toBeGreaterThan(22 * hourMs);
  expect(sum(retries, intakePauseMs)).toBeLessThan(26 * hourMs);
  expect(intakePauseMs(1)).toBeLessThan(3_000);
  expect(intakePauseMs(retries)).toBeLessThan(20 * 60_000);
});

it('lets a run wait for GitHub for a day, for a minute at first', () => {
  const pause = (outages: number): number => outagePauseMs(10_000, outages, null);

  expect(pause(1)).toBeGreaterThanOrEqual(60_000);
  expect(pause(1)).toBeLessThan(80_000);
  expect(sum(maxOutages, pause)).toBeGreaterThan(22 * hourMs);
  expect(outagePauseMs(10_000, 40, 20_000)).toBeLessThan(31_000);
  expect(outagePauseMs(10_000, 1, 10 * hourMs)).toBeLessThan(66 * 60_000);
});
