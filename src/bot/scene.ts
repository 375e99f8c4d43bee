/** What intake works with: one event, and what is at hand for it. */
import type { GitHub, GitHubRepository } from '../github/github.ts';
import type { FixJob } from '../job.ts';
import type { Log } from '../log.ts';
import type { Operator } from '../settings/operator.ts';
import type { Resolved } from '../settings/resolve.ts';
import type { PlaceOfRun } from './command-texts.ts';
import type { RunLimits } from './run-limits.ts';
import type { Memory, Subject } from './memory.ts';
import type { SettingsIssuePlace } from './repository-settings.ts';

/** The part of the web role's event that intake reads; parsed at the door of the worker. */
export interface Intake {
  readonly kind: 'labeled' | 'unlabeled' | 'command' | 'closed';
  readonly key: string;
  readonly deliveryId: string;
  readonly installationId: number;
  readonly repository: FixJob['repository'];
  readonly issue: { readonly number: number; readonly title: string; readonly body: string; readonly isPullRequest: boolean };
  readonly actor: { readonly id: number; readonly login: string };
  readonly receivedAt: string;
  readonly label?: string | undefined;
  readonly commentId?: number | undefined;
  readonly on?: 'issue' | 'diff' | 'review' | undefined;
  readonly command?: 'fix' | 'plan' | 'approve' | 'stop' | 'resume' | 'retry' | 'status' | 'ci' | 'merge' | 'help' | 'unknown' | undefined;
  readonly instruction?: string | undefined;
  /** By GitHub's clock. */
  readonly saidAt?: string | undefined;
}

export interface IntakeTools {
  readonly github: GitHub;
  readonly operator: Operator;
  readonly queue: {
    addRun(job: FixJob, limits: RunLimits): Promise<boolean>;
    hasRun(key: string): Promise<boolean>;
    cancelIssue(
      repositoryId: number,
      issue: number,
      reason: 'stop' | 'unlabeled' | 'closed',
      /** Told again with the same event, it returns the same runs. */
      by: { readonly login: string; readonly event: Pick<Intake, 'key' | 'receivedAt'> },
    ): Promise<readonly { readonly runId: string; readonly waited: boolean }[]>;
    /** What waits or works for an issue, the one that works first. */
    find(subject: Subject): Promise<readonly PlaceOfRun[]>;
    /** Hands a message to the run that works on an issue, or to the first that waits for it. Told twice, it is heard once. */
    tell(
      subject: Subject,
      message: { readonly id: number; readonly login: string; readonly text: string; readonly at: string },
    ): Promise<'working' | 'waiting' | 'none' | 'full' | 'too_long' | 'closed'>;
  };
  readonly memory: Pick<Memory, 'keep' | 'recall' | 'past'>;
  /** How many triggers of people without write access there were so far, with this one. */
  readonly countOutsider: () => number;
  readonly inTurn: SettingsIssuePlace['inTurn'];
  readonly signal: AbortSignal;
}

/** What is at hand for one event. */
export interface Scene {
  readonly event: Intake;
  readonly github: GitHubRepository;
  readonly tools: IntakeTools;
  readonly log: Log;
  readonly settings: Resolved;
  /** That starts runs here. */
  readonly label: string;
}
