/** One use of a token: the client it opened, the repository it is for, and who we are there. */
import { setTimeout } from 'node:timers/promises';
import type { Octokit } from '@octokit/rest';
import { isLost } from './failure.ts';

export interface Session {
  readonly octokit: Octokit;
  /** As Octokit wants it in every request. */
  readonly at: { readonly owner: string; readonly repo: string };
  /** What stays when it is renamed. */
  readonly repositoryId: number;
  readonly signal: AbortSignal;
  /** Whether this App wrote it: only then a marker in it counts, because anybody can copy one. */
  isOurs(written: Authored): boolean;
  /** The name that this App writes under. */
  readonly login: string;
}

export interface Authored {
  readonly user?: { readonly login: string; readonly type: string } | null | undefined;
  readonly performed_via_github_app?: { readonly id: number } | null | undefined;
}

const tries = 3;
/** GitHub may show a thing a moment later than it made it. */
const settleMs = 1000;

/**
 * Makes what is not there yet. When an answer is lost, the thing may have been made: it is looked for before it is
 * asked for again.
 */
export async function makeOnce<T>(session: Session, find: () => Promise<T | null>, make: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const found = await find();
    if (found !== null) return found;
    try {
      return await make();
    } catch (error) {
      if (!isLost(error) || attempt === tries) throw error;
      await setTimeout(settleMs, undefined, { signal: session.signal });
    }
  }
}
