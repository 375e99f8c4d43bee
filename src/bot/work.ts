/** What the kinds of work have in common, and what each of them says for itself. */
import type { AskedIssue } from '../fix/agent-task.ts';
import type { RunEvent, RunReport } from '../fix/report.ts';
import type { RunRequest, RunResult, RunTools } from '../fix/run-request.ts';
import type { Mirrors } from '../git/mirror.ts';
import type { GitHub, GitHubRepository } from '../github/github.ts';
import type { BudgetShare, FixJob, FixOutcome } from '../job.ts';
import type { Log } from '../log.ts';
import type { Effective } from '../settings/resolve.ts';
import type { CommandLabel } from './command-label.ts';
import type { FinishedWork, Vault } from './finished-work.ts';
import type { LivingComment } from './living-comment.ts';
import type { Memory } from './memory.ts';
import type { MessageDesk, PersonMessage } from './message-desk.ts';
import type { SettingsIssuePlace } from './repository-settings.ts';

export interface JobTools extends RunTools {
  readonly github: GitHub;
  readonly mirrors: Mirrors;
  readonly memory: Memory;
  readonly vault: Vault;
  readonly inTurn: SettingsIssuePlace['inTurn'];
  /** For people who watch (the demo's timeline); nothing depends on it. */
  readonly onEvent: (runId: string, event: RunEvent) => void;
  readonly onReport: (report: RunReport) => void;
}

export interface Attempt {
  readonly lastAttempt: boolean;
  /** Whether it may still be put off because GitHub does not answer; no attempt is counted then. */
  readonly canWait: boolean;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly ownsRun: () => Promise<boolean>;
  /** What people said to this run since the last call; the first one has all of it. Never throws. */
  readonly takeMessages: () => Promise<readonly PersonMessage[]>;
  /** Nothing can be said to this run any more. Never throws. */
  readonly closeMessages: () => Promise<void>;
  /** A share of what is left of the day; throws `over_limit` when nothing is, so that the run waits. `costUsd: null`: money is not looked at. */
  readonly openBudget: (wanted: { costUsd: number | null; tokens: number; costUsdPerDay?: number }) => Promise<BudgetShare>;
}

/** One attempt at one job, before anything is known of the repository. */
export interface TalkContext {
  readonly job: FixJob;
  readonly attempt: Attempt;
  readonly tools: JobTools;
  readonly github: GitHubRepository;
  readonly report: RunReport;
  readonly comment: LivingComment;
  /** What people say to the agent. */
  readonly desk: MessageDesk;
  readonly label: CommandLabel;
  readonly finished: FinishedWork;
}

export interface JobContext extends TalkContext {
  /** Read from the default branch at the start of this attempt. */
  readonly settings: Effective;
}

export type Ready = Extract<RunResult, { kind: 'ready' }>;

/** A kind of work: everything that is not the same for all of them. Idempotent, because an attempt may be made again. */
export interface WorkKind {
  /** The branch that the work goes onto, where it is not the one that was pinned; null where it is. */
  place?(context: JobContext): Promise<FixJob['pull']>;
  /** What can be known before any VM: why it is not done, or what an earlier attempt has done. Null to go on. */
  check(context: JobContext): Promise<FixOutcome | null>;
  /** The branch whose tip the VM starts from. With a `sha` that is not the tip any more, the run ends as stale. */
  base(job: FixJob): { readonly ref: string; readonly sha: string | null };
  /** What the agent is asked. */
  ask(context: JobContext): Promise<AskedIssue>;
  /** Puts more into the workspace before the agent begins. */
  prepare?(context: JobContext, ...place: Parameters<NonNullable<RunRequest['prepare']>>): ReturnType<NonNullable<RunRequest['prepare']>>;
  /** What becomes of the patch. */
  deliver(context: JobContext, ready: Ready): Promise<FixOutcome>;
  /** The branch for work that is not good enough to be delivered. */
  heldBranch(context: JobContext): string;
  /** What it has to say beside the living comment, in a time of its own. */
  tell?(context: TalkContext, outcome: FixOutcome): Promise<void>;
}
