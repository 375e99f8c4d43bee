/** What an agent's end means for the run. */
import type { AgentLimits, Attempt } from '../agent/loop.ts';
import { FixError } from '../errors.ts';
import type { BudgetShare, FixOutcome } from '../job.ts';
import { findBudget } from './budget.ts';
import type { Plan } from './plan.ts';
import type { RunReport } from './report.ts';

/** What the agent found to work, where the host ran something else. */
export function noteOtherCommand(report: RunReport, { test }: Plan, command: string | null): void {
  if (test === null || command === null || command.trim() === test.command) return;
  const note = `The agent tested with ${JSON.stringify(command.slice(0, 300))}; the host did not run that.`;
  if (!report.notes.includes(note)) report.notes.push(note);
}

/** The last resort: whoever wrote the patch also says how it is judged, so the report names the source. */
export function askedTest({ ended: end }: Attempt): Plan['test'] {
  const command = end.kind === 'submitted' ? end.submission.testCommand : null;
  return command === null ? null : { command, source: 'the agent' };
}

/** An agent that only falls silent may have finished its work: what it left goes on to the proof. Any other end but a submission leaves it unfinished. */
export function endedEarly(how: Attempt['ended'], limits: AgentLimits, budget: BudgetShare | null): FixOutcome | null {
  if (how.kind === 'submitted' || (how.kind === 'stopped' && how.reason === 'silent')) return null;
  if (how.kind === 'stopped') return how;
  const spent = findBudget(how.limit, limits, budget);
  return spent === null ? { kind: 'gave_up', limit: how.limit } : { kind: 'gave_up', limit: 'daily_budget', budget: spent };
}

/** Whether a person has stopped the run, as against a closed issue, a shutdown or a lost lock. */
export function isPersonsStop({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof FixError && reason.code === 'cancelled' && reason.details['reason'] === 'stop';
}
