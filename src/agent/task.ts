/** What an agent is asked to do, and what it is told about it. */

export interface TaskComment {
  readonly login: string;
  /** When it was written. */
  readonly at: string;
  readonly body: string;
}

/** One more text from outside that the agent is given. */
export interface TaskText extends Pick<SeenText, 'item' | 'source' | 'trust'> {
  /** What it is, before it begins; the host's words. */
  readonly head: string;
  /** The word of its fence. */
  readonly name: string;
  readonly text: string;
  /** Hidden markup is taken out of Markdown; of code and logs only what nobody can see. */
  readonly markdown: boolean;
}

export interface Task {
  /** What is to be done when it is not to fix an issue, in the host's words. */
  readonly assignment?: string;
  /** Beside the issue, or the pull request. */
  readonly texts?: readonly TaskText[];
  readonly title: string;
  readonly body: string;
  /** What people with write access said about the issue before the run was asked for, oldest first. */
  readonly comments: readonly TaskComment[];
  /** What the commenter asked for beyond the issue, if anything. */
  readonly instruction: string | null;
  /** A plan that a person approved, in the words of the agent that made it. */
  readonly plan?: string | null;
  /** Comments of a review are among the texts, and each is to be answered. */
  readonly reviewed?: boolean;
  /** A plan is to be made, and nothing changed. */
  readonly planOnly?: boolean;
  /** Files of unfinished work of an earlier run that lie in the workspace already. */
  readonly earlier?: readonly string[];
  /** AGENTS.md or the like of the base commit, size-capped; lower trust than the operator's prompt. */
  readonly instructions: { readonly path: string; readonly text: string; readonly source?: string } | null;
  /** What the repository consists of, in a few lines of the host, with names of the repository in it. */
  readonly map: string | null;
  readonly testCommand: string | null;
  /** What that command said on the base, in a few lines; names of tests and output are in it. Null when it was not run. */
  readonly baseTests: string | null;
  /** Commands that have run in the guest already, so that nothing is installed twice. */
  readonly setup: readonly string[];
  /** What the host knows of the machine and the repository, in its own words. */
  readonly remarks: readonly string[];
  /** The guest is emulated: starting a program takes seconds. */
  readonly slow: boolean;
  /** Hosts that the guest may reach in this phase. */
  readonly allowedHosts: readonly string[];
}

/** One text that the agent was given. */
export interface SeenText {
  readonly item: string;
  readonly source: string;
  /** Whose word it is: `mayfly`, the `host`'s, of people with `write access`, of the `repository`, or of `anyone`. */
  readonly trust: 'mayfly' | 'host' | 'write access' | 'repository' | 'anyone';
  readonly characters: number;
  /** Invisible characters and pieces of hidden markup that were kept out of it. */
  readonly hidden: number;
}
