/** What a repository allows itself of runs, as the queue wants it. */
import type { Values } from '../settings/values.ts';

export interface RunLimits {
  /** Runs at once. */
  readonly perRepository: number;
  /** Runs that begin. */
  readonly perUserAndHour: number;
  readonly perRepositoryAndDay: number;
}

export function limitsOf(values: Values): RunLimits {
  return {
    perRepository: values['budgets.runsAtOnce'],
    perUserAndHour: values['budgets.runsPerUserAndHour'],
    perRepositoryAndDay: values['budgets.runsPerDay'],
  };
}
