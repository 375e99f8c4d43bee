/**
 * The port of a throwaway VM. A provider boots one and hands back a byte stream; everything in this file is
 * built once on top of that stream (SSH) and tested once for every provider.
 */
import type { Duplex, Readable, Writable } from 'node:stream';

export type GuestUser = 'agent' | 'root';

export interface ExecOptions {
  /** Who runs it. Default `agent`, who owns /workspace. */
  readonly user?: GuestUser;
  /** Whether what `agent` runs may become root: by sudo, setuid programs, file capabilities. Default: none of them has an effect. */
  readonly sudo?: boolean;
  /** Default `/workspace`. */
  readonly cwd?: string;
  /** Added to the guest's own environment (proxy, CA, registry). Travels by stdin, never in an argument. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: empty and closed. */
  readonly stdin?: Readable | Uint8Array | string;
  /** Standard output goes here unclipped, instead of into the result. The sink bounds its own size: it throws or destroys itself. Ended with the command; destroyed when we end it. */
  readonly stdout?: Writable;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Kept of each of stdout and stderr: the first and the last half of it. Default 64 KiB. */
  readonly maxOutputBytes?: number;
}

/** Always a value; exec throws only when the sandbox itself is gone (`sandbox_lost`). */
export interface ExecResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  /** `SIGKILL`, ... when a signal ended it. */
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Why it ended. `timeout`, `cancelled` and `output_sink`: we ended it, and every process that it had started. */
  readonly ended: 'exited' | 'timeout' | 'cancelled' | 'output_sink';
  readonly durationMs: number;
  /** Bytes left out of the middle of stdout and stderr. */
  readonly clippedBytes: number;
}

export interface SandboxInfo {
  readonly provider: string;
  /** What executes guest instructions. */
  readonly accel: 'kvm' | 'tcg' | 'systrap';
  /** What separates the guest from the host. `emulation` is not a security boundary by QEMU's own policy. */
  readonly isolation: 'hardware' | 'syscall' | 'emulation';
  readonly networkCards: 0;
  /** True when the VM came from saved memory, false after a cold boot. */
  readonly restored: boolean;
  /** True when the VM stood ready before it was asked for. */
  readonly pooled: boolean;
  /** From the request to the first command done; of a pooled VM, to its hand-over. */
  readonly bootMs: number;
}

export interface Sandbox extends AsyncDisposable {
  /** What the boot was asked for, or what the VM was called in its pool; every process, directory and cgroup of the VM carries it. */
  readonly id: string;
  readonly info: SandboxInfo;
  /** Aborts (with a FixError `sandbox_lost`) when the VM dies by itself. */
  readonly lost: AbortSignal;
  /** Runs an argument vector; no shell unless it is one. When it returns, no process that it started is left in the guest. */
  exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** Writes one file in the guest; parent directories are made. Throws `guest_disk_full` or `sandbox_lost`. */
  put(path: string, content: Readable | Uint8Array | string, options?: { user?: GuestUser; mode?: number; signal?: AbortSignal }): Promise<void>;
  /** Streams one file of the guest; the stream fails past `maxBytes`. */
  get(path: string, options: { user?: GuestUser; maxBytes: number; signal?: AbortSignal }): Promise<Buffer>;
  /** Each connection to 127.0.0.1:port in the guest arrives here as a stream. */
  forward(port: number, accept: (stream: Duplex) => void): Promise<void>;
  /** Kills and removes everything, then looks: returns the names of what is still there (empty when all is well). Idempotent. */
  dispose(): Promise<readonly string[]>;
}

/** An image that a repository named, as it is on this host. */
export interface GuestImage {
  readonly key: string;
  /** Of what its name meant in the registry. */
  readonly sha256: string;
  /** What it sets for every program. From the image, so hostile. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Images out of registries. */
export interface GuestImages {
  /** Ready to be booted; copied and unpacked first when it is not there. Throws `image_unsuitable`, `image_unavailable`, `disk_full`, `cancelled`, what a boot throws. */
  prepare(name: string, options: PrepareOptions): Promise<HeldImage>;
}

/** Stays on this host until every hold on it is disposed of. */
export interface HeldImage extends GuestImage, AsyncDisposable {
  /** One more hold, for work that outlives this one. */
  share(): HeldImage;
}

export interface PrepareOptions {
  /** Whose run it is, with its name as `owner/name`: its credentials for registries are used. Null is no known one. */
  readonly repository: { readonly name: string; readonly id: number } | null;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export interface SandboxSpec {
  /** Unique; at most 40 characters of [a-z0-9-]. */
  readonly id: string;
  readonly signal: AbortSignal;
  /** A provider never gives more than the operator lets it, and no disk is smaller than the template's. Default: the template's. */
  readonly size?: { readonly cpus: number; readonly memoryMib: number; readonly diskGib: number };
  /** A file that a LayerMaker of this provider made, unchanged, of the same image: its disk is what the VM begins with. Default: the image's. */
  readonly layer?: string;
  /** What it boots. Default: the template of this host. */
  readonly image?: GuestImage;
}

/** Boots VMs. One per process; holds no VM itself. */
export interface Provider {
  readonly name: string;
  /** Throws `template_missing`, `sandbox_boot` (with `late` in its details when it was not ready in time), `sandbox_thaw`, `sandbox_unlimited`, `cancelled`. Leaves nothing behind then. */
  boot(spec: SandboxSpec): Promise<Sandbox>;
  /** Removes what dead workers left on this host; returns the ids. Called at start. */
  sweep(): Promise<readonly string[]>;
  /** Absent where no disk outlives its VM. */
  readonly layers?: LayerMaker;
}

/** Keeps the disk of a VM - nothing of its memory, no process - for VMs that begin with it. */
export interface LayerMaker {
  /** Of provider and guest image: a layer boots only where this is the same. Null where none is kept of VMs of this size. */
  key(spec: Pick<SandboxSpec, 'size' | 'image'>): Promise<string | null>;
  /** What the disk of one takes at most. */
  largestBytes(spec: Pick<SandboxSpec, 'size' | 'image'>): number;
  /**
   * Boots a VM whose disk is `file`, which nobody but us may read, has `fill` write to it, and shuts it down. Throws what
   * `boot` and `fill` throw; then there is no such file, and no VM. A maker that is killed leaves the file.
   */
  make(spec: SandboxSpec, file: string, fill: (sandbox: Sandbox) => Promise<void>): Promise<void>;
}

/** `place`: 24 hex digits, what has to be the same for a layer to fit. `commit`: the one that it was made at. */
export interface LayerName {
  readonly place: string;
  readonly commit: string;
}

export interface Layer {
  readonly file: string;
  /** What its maker noted down. */
  readonly notes: unknown;
  /** Becomes known while a VM already boots from it; false when it is not what it was, or we were told to stop. Never rejects. */
  readonly isWhole: Promise<boolean>;
}

export interface KeepOptions {
  /** What it takes at most, which has to be free. */
  readonly largestBytes: number;
  readonly signal: AbortSignal;
}

/** Layers that are kept on this host. */
export interface Layers {
  /** The commits of a place, the one that was made last first. */
  list(place: string): Promise<readonly string[]>;
  /** Null when there is none, or it is too old; one that is too old, or turns out not to be whole, is removed. */
  take(name: LayerName, signal: AbortSignal): Promise<Layer | null>;
  /**
   * `make` writes the file and returns what is noted down; other commits of the place go then. Resolves to that file; to
   * null when another process does it, it is there already, there is no room, or one of the place failed or was larger
   * than all may be together, not long ago. Throws what `make` throws, and `disk_full`.
   */
  keep(name: LayerName, options: KeepOptions, make: (file: string) => Promise<unknown>): Promise<string | null>;
  /** For one that is whole and does not work. */
  remove(name: LayerName): Promise<void>;
  /** What a killed process left, and what is beyond the limits; returns the names of what is gone. Called at start. */
  sweep(): Promise<readonly string[]>;
}
