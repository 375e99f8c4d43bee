/** What the agent hands in. Hostile text: it is what a model wrote that may have been captured. */
export interface Submission {
  readonly summary: string;
  readonly files: readonly string[];
  readonly commands: readonly string[];
  /** The agent says that nothing is to be changed; what lies in the workspace is no patch then. */
  readonly noChange: boolean;
}
