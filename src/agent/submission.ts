/** What the agent hands in. Hostile text: it is what a model wrote that may have been captured. */
export interface Submission {
  readonly summary: string;
  readonly files: readonly string[];
  /** The command that runs the tests, as the agent found it; for a host that knows none. */
  readonly testCommand: string | null;
  /** The agent says that nothing is to be changed; what lies in the workspace is no patch then. */
  readonly noChange: boolean;
  /** The agent claims that the change does all that was asked for. */
  readonly resolves: boolean;
  /** To comments of a review that the task lists. */
  readonly replies: readonly Reply[];
}

export interface Reply {
  /** The number that the task gives the comment; the agent may have made one up. */
  readonly comment: number;
  readonly addressed: boolean;
  readonly text: string;
}
