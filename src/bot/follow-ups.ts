/** What may be done about pull requests without being asked each time; the settings of a repository say it. */
export interface FollowUps {
  /** On a branch that this App did not make: commits go onto it, or into a pull request against it. */
  readonly foreign: 'push' | 'pull_request';
  /** Whether failed checks on our own commits start a run. */
  readonly repairChecks: boolean;
  /** Whether a base that moved, so that our pull request conflicts with it, starts a run. */
  readonly mergeBase: boolean;
  /** How long single comments at lines are waited for, to be answered together. */
  readonly quietMs: number;
}

export const defaultFollowUps: FollowUps = { foreign: 'pull_request', repairChecks: true, mergeBase: false, quietMs: 2 * 60_000 };
