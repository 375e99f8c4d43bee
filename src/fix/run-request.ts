/** What a run is asked, what it is given to do it, and what it answers. */
import type { AgentLimits, AgentOptions, Transcript } from '../agent/loop.ts';
import type { TaskText } from '../agent/task.ts';
import type { RepositoryIdentity } from '../gateway/credential-repositories.ts';
import type { Credential } from '../gateway/credentials.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { RunUsage } from '../gateway/run-usage.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { BudgetShare, FixOutcome, Patch } from '../job.ts';
import type { Log, Secrets } from '../log.ts';
import type { Models } from '../model/model.ts';
import type { GuestImages, Provider, SandboxInfo } from '../sandbox/sandbox.ts';
import type { Operator } from '../settings/operator.ts';
import type { Effective } from '../settings/resolve.ts';
import type { AskedIssue } from './agent-task.ts';
import type { Plan, Wishes } from './plan.ts';
import type { PatchLimits } from './policy.ts';
import type { RunEvent, RunReport } from './report.ts';
import type { Home, RepositoryTemplates } from './repository-template.ts';
import type { GuestSurroundings, Workspace } from './workspace.ts';

export interface RunLimits {
  readonly agent: AgentLimits;
  readonly patch: PatchLimits;
  readonly setupTimeoutMs: number;
  /** All runs of the tests of one proof together. */
  readonly proofTimeoutMs: number;
  /** How often the host judges: after all but the last time, the agent hears of a regression and works on. At least 1. */
  readonly proofRounds: number;
  /** How many ancestors of the base commit the guest gets. */
  readonly ancestors: number;
}

/** The way out of one VM. */
export interface GatewayWish {
  readonly phase: string;
  readonly allow: readonly string[];
  /** Of the operator, for this repository. */
  readonly credentials: readonly Credential[];
  /** Whether the repository names this package. */
  readonly isKnownPackage?: (name: string) => boolean;
  /** What all VMs of the run share the limits by. */
  readonly usage: RunUsage;
  readonly log: Log;
}

/** What a process has once and every run uses. */
export interface RunTools {
  readonly provider: Provider;
  /** Why that one: half a sentence that follows "because". */
  readonly providerReason: string;
  /** What separates its VMs from this host. */
  readonly isolation: SandboxInfo['isolation'];
  /** What the operator says about settings. */
  readonly operator: Operator;
  readonly models: Models;
  readonly openGateway: (options: GatewayWish) => Gateway;
  /** The operator's credentials for a repository; null is one that nobody knows. Throws `credential_repository`. */
  readonly credentialsOf: (repository: RepositoryIdentity | null) => Promise<readonly Credential[]>;
  readonly surroundings: GuestSurroundings;
  /** Of the guest template; a repository may ask for another. */
  readonly guestNodeVersion: string;
  /** What repositories may have in the place of the template. */
  readonly guestImages: GuestImages;
  /** Debian packages that the operator added to the template. */
  readonly guestPackages: readonly string[];
  readonly openTranscript: (runId: string) => Promise<Transcript>;
  readonly limits: RunLimits;
  readonly secrets: Secrets;
  /** Null where the operator wants none, or no disk can be kept. */
  readonly repositoryTemplates: RepositoryTemplates | null;
}

export interface RunRequest {
  /** On GitHub; left out where there is none. */
  readonly repository?: RepositoryIdentity;
  readonly issue: AskedIssue;
  /** Where settings and instructions come from, when the base is a branch that anybody may have written. */
  readonly rules?: (signal: AbortSignal) => Promise<Snapshot>;
  /** Puts more into the workspace before the agent begins: part of its patch. Returns what the agent is told of it. */
  readonly prepare?: (workspace: Workspace, snapshot: Snapshot) => Promise<readonly TaskText[]>;
  readonly wishes: Wishes;
  /** Whose repository template may be used, and made: only where the base is in the history of the rules. */
  readonly home?: Home;
  /** Read before, from the default branch; those of the base commit where nobody did. */
  readonly settings?: Effective;
  /** The base commit, on the host. */
  readonly fetch: (signal: AbortSignal) => Promise<Snapshot>;
  /** The commit that the base has to be; null takes what there is. */
  readonly pinnedSha: string | null;
  /** The commit that is fetched holds unfinished work: the run begins with it, on the commit before. */
  readonly resume?: boolean;
  readonly takeMessages?: AgentOptions['takeMessages'];
  readonly report: RunReport;
  /** Of the day; null when there are no budgets. Whoever opened it closes it. */
  readonly budget: BudgetShare | null;
  readonly onEvent: (event: RunEvent) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** What is ready to be published, or why there is nothing to publish. */
export type RunResult =
  | { readonly kind: 'ready'; readonly patch: Patch; readonly plan: Plan }
  /** What to do, in the agent's words, which are hostile. */
  | { readonly kind: 'planned'; readonly text: string }
  | { readonly kind: 'ended'; readonly outcome: FixOutcome };
