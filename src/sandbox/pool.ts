/**
 * VMs that stand ready: restored, thawed and connected before anybody asks, so that a run has one at once. Each is given
 * away once and never comes back; the pool fills itself up in the background, and is only ever an advance: whoever finds
 * it empty boots as if there were none.
 */
import { randomBytes } from 'node:crypto';
import { asFixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Provider, Sandbox, SandboxSpec } from './sandbox.ts';
import { standBy } from './stand-by.ts';
import type { HandOver } from './stand-by.ts';

export interface PoolOptions {
  readonly provider: Provider;
  /** VMs that wait at most. */
  readonly size: number;
  /** Of the provider's VMs; one of another size is booted when it is asked for. */
  readonly vm: { readonly cpus: number; readonly memoryMib: number; readonly diskGib: number };
  /** How long one waits before another takes its place. Default: 15 minutes. */
  readonly maxAgeMs?: number;
  /** How long after a boot that failed, or for want of memory, the next one is tried. Default: 30 seconds. */
  readonly retryMs?: number;
  /** Memory that this host can still give, in MiB. */
  readonly availableMib?: () => number;
  readonly log: Log;
}

/** Boots as its provider does, only sooner. */
export interface Pool extends Provider {
  /** Throws away what waits and begins nothing new; a later boot goes to the provider. Returns what is left of them. */
  drain(): Promise<readonly string[]>;
  /** Resolves when as many wait as shall, or the pool was drained. */
  full(): Promise<void>;
}

interface Waiting {
  readonly sandbox: Sandbox;
  readonly handOver: HandOver;
  /** Its age; cleared when it goes. */
  readonly timer: NodeJS.Timeout;
}

const availableNow = (): number => Math.floor(process.availableMemory() / 2 ** 20);

export function createPool(options: PoolOptions): Pool {
  return new StandingPool(options);
}

class StandingPool implements Pool {
  readonly name: string;
  readonly #options: Required<PoolOptions>;
  readonly #waiting = new Set<Waiting>();
  readonly #closing = new AbortController();
  readonly #left: string[] = [];
  #filling: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #full = Promise.withResolvers<void>();

  constructor(options: PoolOptions) {
    this.name = options.provider.name;
    this.#options = { maxAgeMs: 15 * 60_000, retryMs: 30_000, availableMib: availableNow, ...options };
    this.#fill();
  }

  async boot(spec: SandboxSpec): Promise<Sandbox> {
    const startedAt = performance.now();
    if (!spec.signal.aborted && this.#isUsual(spec)) {
      for (let ready = this.#take(); ready; ready = this.#take()) {
        if (!(await this.#handOver(ready, spec.id))) continue;
        const { sandbox } = ready;
        return { ...sandbox, info: { ...sandbox.info, pooled: true, bootMs: Math.round(performance.now() - startedAt) } };
      }
    }
    return await this.#options.provider.boot(spec);
  }

  sweep(): Promise<readonly string[]> {
    return this.#options.provider.sweep();
  }

  async drain(): Promise<readonly string[]> {
    this.#closing.abort();
    if (this.#retry) clearTimeout(this.#retry);
    this.#full.resolve();
    await Promise.all([this.#filling, ...[...this.#waiting].map((ready) => this.#discard(ready))]);
    return this.#left;
  }

  full(): Promise<void> {
    return this.#full.promise;
  }

  #isUsual({ size, layer, image }: SandboxSpec): boolean {
    const { vm } = this.#options;
    if (layer !== undefined || image !== undefined) return false;
    return size === undefined || (size.cpus >= vm.cpus && size.memoryMib >= vm.memoryMib && size.diskGib <= vm.diskGib);
  }

  /** The one that waited longest; the next takes its place. */
  #take(): Waiting | undefined {
    const [ready] = this.#waiting;
    if (!ready) return undefined;
    this.#remove(ready);
    this.#fill();
    return ready;
  }

  #remove(ready: Waiting): void {
    clearTimeout(ready.timer);
    const wasFull = this.#waiting.size === this.#options.size;
    if (wasFull && !this.#closing.signal.aborted) this.#full = Promise.withResolvers();
    this.#waiting.delete(ready);
  }

  async #handOver(ready: Waiting, runId: string): Promise<boolean> {
    const { log } = this.#options;
    const sandboxId = ready.sandbox.id;
    try {
      await ready.handOver();
      log.info({ sandboxId, for: runId }, 'a VM of the pool is handed over');
      return true;
    } catch (thrown) {
      log.warn({ sandboxId, err: asFixError(thrown) }, 'a VM of the pool was no good');
      await this.#discard(ready);
      return false;
    }
  }

  async #discard(ready: Waiting): Promise<void> {
    this.#remove(ready);
    this.#left.push(...(await ready.sandbox.dispose()));
  }

  /** One boot after the other until enough wait: runs have the processors first. */
  #fill(): void {
    const isFull = this.#closing.signal.aborted || this.#waiting.size >= this.#options.size;
    if (isFull) this.#full.resolve();
    if (isFull || this.#filling || this.#retry) return;
    const { availableMib, vm, log } = this.#options;
    // What waits takes little. But a guest that runs may still claim all of its memory, so there has to be as much.
    if (availableMib() < vm.memoryMib) {
      log.debug({ availableMib: availableMib(), neededMib: vm.memoryMib }, 'no memory for a VM that waits');
      this.#fillLater();
      return;
    }
    this.#filling = this.#add()
      .catch((thrown: unknown) => {
        if (this.#closing.signal.aborted) return;
        log.warn({ err: asFixError(thrown) }, 'the pool could not boot a VM');
        this.#fillLater();
      })
      .finally(() => {
        this.#filling = null;
        this.#fill();
      });
  }

  #fillLater(): void {
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#fill();
    }, this.#options.retryMs).unref();
  }

  async #add(): Promise<void> {
    const { provider, maxAgeMs, log } = this.#options;
    const { signal } = this.#closing;
    const sandbox = await provider.boot({ id: `pool-${randomBytes(6).toString('hex')}`, signal });
    const handOver = await standBy(sandbox).catch(async (error: unknown) => {
      this.#left.push(...(await sandbox.dispose()));
      throw error;
    });
    const replace = (why: string): void => {
      if (!this.#waiting.has(ready)) return;
      log.debug({ sandboxId: sandbox.id, why }, 'a VM of the pool is replaced');
      void this.#discard(ready)
        .catch((thrown: unknown) => log.error({ sandboxId: sandbox.id, err: asFixError(thrown) }, 'a VM of the pool could not be thrown away'))
        .then(() => this.#fill());
    };
    const ready: Waiting = { sandbox, handOver, timer: setTimeout(() => replace('its age'), maxAgeMs).unref() };
    this.#waiting.add(ready);
    if (sandbox.lost.aborted || signal.aborted) await this.#discard(ready);
    else sandbox.lost.addEventListener('abort', () => replace('it is lost'), { once: true });
  }
}
