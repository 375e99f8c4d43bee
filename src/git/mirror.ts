/** Bare mirrors on the host: the only git that the host runs, and only over what GitHub (or the user's own directory) gave. */
import type { Readable } from 'node:stream';

export interface MirrorSource {
  /** `https://...` or a local directory. Never carries a credential. */
  readonly url: string;
  /** Read-only token, given to git by GIT_CONFIG_* environment; never in argv, URL or a file. */
  readonly token: string | null;
  /** Branch, tag or commit; null for the remote's HEAD. */
  readonly ref: string | null;
}

export interface TreeEntry {
  readonly mode: string;
  readonly sha: string;
  /** Null for a gitlink. */
  readonly size: number | null;
}

/** One commit of a mirror. */
export interface Snapshot {
  readonly sha: string;
  /** The commit before it; null unless there is exactly one. */
  parent(signal: AbortSignal): Promise<Snapshot | null>;
  /** Every file of the commit by path. */
  tree(signal: AbortSignal): Promise<ReadonlyMap<string, TreeEntry>>;
  /** A file's bytes; null when there is none, or when it is larger than `maxBytes`. */
  readFile(path: string, maxBytes: number, signal: AbortSignal): Promise<Buffer | null>;
  /** First lines of the messages of this commit and its ancestors, the newest first, without merges. Text that people wrote. */
  subjects(count: number, signal: AbortSignal): Promise<readonly string[]>;
  /** This commit or one that it comes after; null for every other. */
  ancestor(sha: string, signal: AbortSignal): Promise<Snapshot | null>;
  /**
   * One pack with this commit and its last `ancestors` ancestors, no other ref; `shallow` goes to .git/shallow in the
   * guest. Without what the guest got when it got the ancestor `have`, with as many.
   */
  pack(ancestors: number, signal: AbortSignal, have?: string): Promise<{ readonly stream: Readable; readonly shallow: readonly string[] }>;
}

export interface Mirrors {
  /** Throws `repository_unreachable`, `repository_empty`, `base_unknown`, `disk_full`, `cancelled`. */
  fetch(source: MirrorSource, signal: AbortSignal): Promise<Snapshot>;
}
