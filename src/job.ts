/**
 * The words that every folder shares: what is asked (Job), what comes out of the VM (Patch), what the host
 * saw (Proof), how a run ended (FixOutcome). Plain data; nothing here knows GitHub, Redis or a VM.
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { ErrorCode } from './errors.ts';

/** What boots VMs: QEMU's micro-VMs, or containers under gVisor. */
export const providerNames = ['qemu', 'oci'] as const;
export type ProviderName = (typeof providerNames)[number];

/** Identifies one repository on one GitHub. Ids, not names, are what stays when a repository is renamed. */
export const Repository = z.object({
  id: z.number().int(),
  owner: z.string().max(100),
  name: z.string().max(100),
  private: z.boolean(),
  defaultBranch: z.string().max(255),
});
export type Repository = z.infer<typeof Repository>;

/** Of a commit. */
export const Sha = z.string().regex(/^[0-9a-f]{40}$/);
const Text = z.string().max(65_536);

/** A branch of this repository as it was at the trigger. A head that moved since ends the run as stale: nothing is forced. */
export const PinnedPull = z.object({
  branch: z.string().min(1).max(255),
  headSha: Sha,
  /** The branch that it is to be merged into. */
  base: z.string().min(1).max(255),
  /** Whether this App opened it: only then commits go onto its branch without being allowed by the settings. */
  ours: z.boolean(),
  /** Its number, where it is not the one that was asked on. */
  number: z.number().int().optional(),
});
export type PinnedPull = z.infer<typeof PinnedPull>;

/** What people said in one thread of a review since our last answer, as it was when the run was asked for. */
const ReviewRequest = z.object({
  /** That the thread begins with: an answer goes there. */
  commentId: z.number().int(),
  /** The last one, that gets the reactions. */
  latestId: z.number().int(),
  login: z.string().max(100),
  path: z.string().max(4096),
  line: z.number().int().nullable(),
  body: Text,
  /** The lines that it stands at. */
  hunk: z.string().max(16_384),
  /** Those lines have changed since. */
  outdated: z.boolean(),
});
export type ReviewRequest = z.infer<typeof ReviewRequest>;

/** What is to be done. Each kind has a file of its own in `src/bot/`. */
export const Work = z.discriminatedUnion('kind', [
  /** From an issue to a new pull request; `resume` begins with what is on a held branch, `plan` is what was approved. */
  z.object({
    kind: z.literal('fix'),
    instruction: Text.nullable(),
    resume: z.object({ branch: z.string().max(255), headSha: Sha }).nullable(),
    plan: z.string().max(16_384).nullable(),
  }),
  /** A plan in words; nothing is changed. */
  z.object({ kind: z.literal('plan'), instruction: Text.nullable() }),
  /** What people ask of a pull request: a review's comments, or an instruction. */
  z.object({ kind: z.literal('revise'), instruction: Text.nullable(), requests: z.array(ReviewRequest).max(50) }),
  /** Checks that failed on the head of a pull request of ours. */
  z.object({ kind: z.literal('repair'), attempt: z.number().int().min(1).max(3) }),
  /** The base merged into a pull request of ours. */
  z.object({ kind: z.literal('merge') }),
]);
export type Work = z.infer<typeof Work>;

/** One run to do: ids and the approved text as it was at the trigger. Crosses Redis; holds no token. */
export const FixJob = z.object({
  version: z.literal(2),
  runId: z.string().regex(/^r[0-9a-z]{15}$/),
  /** Semantic key of the trigger (design.md section 3): the same trigger is worked on once, however often it is delivered. */
  key: z.string().max(200),
  deliveryId: z.string().max(100),
  installationId: z.number().int(),
  repository: Repository,
  /** The issue, or the pull request: GitHub numbers both together. */
  issue: z.object({
    number: z.number().int(),
    title: z.string().max(1024),
    body: Text,
  }),
  /** Null for an issue. */
  pull: PinnedPull.nullable(),
  work: Work,
  /** Who asked: a person with write access, checked at the trigger and again at the start. */
  actor: z.object({ id: z.number().int(), login: z.string().max(100) }),
  trigger: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('label'), label: z.string().max(100) }),
    z.object({ kind: z.literal('comment'), commentId: z.number().int(), on: z.enum(['issue', 'diff']) }),
    z.object({ kind: z.literal('review'), reviewId: z.number().int() }),
    /** Something that happened in the repository; `actor` is who started the work that it follows. */
    z.object({ kind: z.literal('event'), name: z.enum(['checks', 'conflict']) }),
  ]),
  requestedAt: z.iso.datetime(),
});
export type FixJob = z.infer<typeof FixJob>;

/** Whether something that crossed Redis was written by a version of Mayfly that is newer than the one that wrote `version`. */
export function isNewer(payload: unknown, version: number): boolean {
  return z.looseObject({ version: z.number().gt(version) }).safeParse(payload).success;
}

/** A new run id: `r`, eight characters of time, seven of chance; sorts by time, safe in file names and DNS labels. */
export function newRunId(now = Date.now()): string {
  const chance = randomBytes(5).readUIntBE(0, 5) % 36 ** 7;
  return `r${now.toString(36).padStart(8, '0').slice(-8)}${chance.toString(36).padStart(7, '0')}`;
}

/** One changed file of a patch. `100755` is executable. Symlinks, gitlinks and anything else never get this far. */
export interface PatchFile {
  readonly path: string;
  readonly change: { readonly kind: 'write'; readonly mode: '100644' | '100755'; readonly content: Uint8Array } | { readonly kind: 'delete' };
}

/** What came out of the VM, against a base commit. Data, never a repository. */
export interface Patch {
  readonly baseSha: string;
  readonly files: readonly PatchFile[];
}

/** What a test runner said of its tests, as far as its output could be read. */
export interface TestResults {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Names, the first ones only. Hostile text. */
  readonly failing: readonly string[];
}

export interface TestRun {
  readonly command: string;
  readonly exitCode: number | null;
  readonly ended: 'exited' | 'timeout' | 'cancelled';
  readonly durationMs: number;
  /** Stdout and stderr together, clipped in the middle. Hostile text. */
  readonly output: string;
  /** Null when the output names no tests. */
  readonly results: TestResults | null;
}

/**
 * What a second clean VM showed. `proven`: fails without the fix, passes with it. `not_contradicted`: passes either way,
 * or the patch touches what decides how tests run. `regressed`: something that passes without the patch fails with it.
 * `still_failing`: fails either way. `flaky`: the same tests ended differently the second time. `could_not_run`: no run
 * of the tests ended by itself, or the command was not found. `nothing_to_run`: no test command is known.
 */
export type Verdict = 'proven' | 'not_contradicted' | 'regressed' | 'still_failing' | 'flaky' | 'could_not_run' | 'nothing_to_run';

export interface Proof {
  readonly verdict: Verdict;
  /** Why, as the rest of a sentence. The host's own words. */
  readonly reason: string;
  /** Where the command came from: the command line, the settings, a file that the host found it in, or the agent. */
  readonly source: string | null;
  readonly base: TestRun | null;
  /** Base plus the test files of the patch; null when it has none, or is nothing else. */
  readonly tests: TestRun | null;
  readonly patched: TestRun | null;
  /** What was run a second time, because it decides; `tree` is `base`, `tests` or `patched`. */
  readonly repeats: readonly (TestRun & { readonly tree: string })[];
  /** Names of tests, the first ones only; hostile text. */
  readonly flaky: readonly string[];
  readonly fixed: readonly string[];
  readonly broken: readonly string[];
  /** What a reviewer should look at: tests taken away, test configuration changed. Sentences with hostile paths. */
  readonly findings: readonly string[];
}

export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedInputTokens: number;
}

/** What may be spent in one day (UTC) by all runs of a repository, of an installation, or of one person in it. */
export interface Budget {
  readonly scope: 'repository' | 'installation' | 'user';
  readonly unit: 'usd' | 'tokens';
  readonly limit: number;
}

/** What a run has spent. Money where its price is known. */
export interface Spent {
  readonly costUsd: number;
  readonly tokens: number;
}

/** A run's share of the day's budgets: set aside when it begins, so that no other run gets it, too. */
export interface BudgetShare {
  /** What is left, and the budget that says so. */
  readonly usd: { readonly amount: number; readonly budget: Budget };
  readonly tokens: { readonly amount: number; readonly budget: Budget };
  /** Tells what the run has spent so far, in total. Idempotent; a Redis that is away loses nothing that a later call tells. */
  tell(spent: Spent): Promise<void>;
  /** Gives back what is left. Nothing counts after it. */
  close(): Promise<void>;
}

export interface PullRequest {
  readonly number: number;
  readonly url: string;
  readonly title: string;
  readonly draft: boolean;
  readonly branch: string;
  readonly headSha: string;
}

export type Limit = 'steps' | 'tokens' | 'cost' | 'time' | 'malformed_calls' | 'daily_budget';
/** Why an agent stopped that nothing outside had stopped: it called no tool any more, its replies were cut, it refused, it went round in circles, its model does not read so much. */
export type StopReason = 'silent' | 'cut' | 'refusal' | 'loop' | 'too_long';
export type RefusalReason =
  | 'not_permitted'
  | 'issue_closed'
  | 'pull_request_open'
  | 'settings_invalid'
  | 'disabled'
  | 'isolation'
  | 'image'
  | 'regressed'
  | 'patch_too_large'
  | 'patch_protected_path'
  | 'patch_mode'
  | 'patch_path'
  | 'patch_secret'
  | 'stale_base'
  | 'held_moved'
  | 'pull_request_closed'
  | 'pull_request_fork'
  | 'conflict_markers'
  | 'nothing_to_merge'
  | 'base_changed'
  | 'checks_not_failing'
  | 'checks_not_ours';

/** How a run ended. `failed` carries the code of the error table that a FixError had. */
export type FixOutcome =
  | { readonly kind: 'published'; readonly pullRequest: PullRequest }
  /** One more commit on a pull request that was there. `held`: no workflow runs on it before a person says so. */
  | { readonly kind: 'pushed'; readonly pullRequest: PullRequest; readonly held: boolean }
  | { readonly kind: 'patched' }
  /** `resumed`: nothing beyond the unfinished work that it began with, which stays where it is. */
  | { readonly kind: 'no_change'; readonly resumed?: true }
  | { readonly kind: 'gave_up'; readonly limit: Limit; readonly budget?: Budget }
  | { readonly kind: 'stopped'; readonly reason: StopReason }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly detail?: string }
  /** `reason` says what stopped it, `by` which person. */
  | { readonly kind: 'cancelled'; readonly reason?: string; readonly by?: string }
  /** A plan waits for approval. */
  | { readonly kind: 'planned' }
  | { readonly kind: 'failed'; readonly code: ErrorCode };
