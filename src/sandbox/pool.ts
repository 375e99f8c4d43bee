/**
 * VMs that stand ready: restored, thawed and connected before anybody asks, so that a run has one at once. Each is given
 * away once and never comes back; the pool fills itself up in the background, and is only ever an advance: whoever finds
 * it empty boots as if there were none.
 *
 * Those of this host's template always wait. Those of another one, an image or a repository's kept disk, wait once it was
 * asked for, until nobody has for as long as a VM waits.
 */
import { randomBytes } from 'node:crypto';
import { asFixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Provider, Sandbox, SandboxSpec } from './sandbox.ts';
import { createShelf } from './shelf.ts';
import type { Shelf, ShelfOf } from './shelf.ts';

export interface PoolOptions {
  readonly provider: Provider;
  /** VMs that wait at most, of each template. */
  readonly size: number;
  /** Templates beside that of this host; the one that nobody has asked for longest gives way. Default: 3. */
  readonly others?: number;
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
  /** Somebody will soon ask for such a VM. */
  expect(spec: Omit<SandboxSpec, 'id' | 'signal'>): void;
  /** Throws away what waits and begins nothing new; a later boot goes to the provider. Returns what is left of them. */
  drain(): Promise<readonly string[]>;
  /** Resolves when as many wait as shall, or the pool was drained. */
  full(): Promise<void>;
}

const availableNow = (): number => Math.floor(process.availableMemory() / 2 ** 20);

export function createPool(options: PoolOptions): Pool {
  return new StandingPool(options);
}

const keyOf = ({ layer, image }: ShelfOf): string => JSON.stringify([layer ?? null, image?.key ?? null]);
const hostKey = keyOf({});

class StandingPool implements Pool {
  readonly name: string;
  readonly layers?: NonNullable<Provider['layers']>;
  readonly #options: Required<PoolOptions>;
  /** In the order in which they were asked for last; that of the host is always there. */
  readonly #shelves = new Map<string, Shelf>();
  readonly #askedAt = new WeakMap<Shelf, number>();
  readonly #closing = new AbortController();
  readonly #left: string[] = [];
  readonly #clearing = new Set<Promise<void>>();
  #filling: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #isFull = false;
  #full = Promise.withResolvers<void>();

  constructor(options: PoolOptions) {
    const { provider } = options;
    this.name = provider.name;
    if (provider.layers) this.layers = provider.layers;
    this.#options = { maxAgeMs: 15 * 60_000, retryMs: 30_000, others: 3, availableMib: availableNow, ...options };
    this.#shelfOf({});
    this.#fill();
  }

  async boot(spec: SandboxSpec): Promise<Sandbox> {
    const startedAt = performance.now();
    const { provider } = this.#options;
    if (spec.signal.aborted || !this.#isUsual(spec)) return await provider.boot(spec);
    const sandbox = await this.#shelfOf(spec).take(spec.id);
    const bootMs = Math.round(performance.now() - startedAt);
    try {
      return sandbox === null ? await provider.boot(spec) : { ...sandbox, info: { ...sandbox.info, pooled: true, bootMs } };
    } finally {
      // The next takes its place, when nobody waits for this one any more.
      this.#fill();
    }
  }

  expect(spec: Omit<SandboxSpec, 'id' | 'signal'>): void {
    if (this.#closing.signal.aborted || !this.#isUsual(spec)) return;
    this.#shelfOf(spec);
    this.#fill();
  }

  sweep(): Promise<readonly string[]> {
    return this.#options.provider.sweep();
  }

  async drain(): Promise<readonly string[]> {
    this.#closing.abort();
    if (this.#retry) clearTimeout(this.#retry);
    this.#full.resolve();
    await this.#filling;
    for (const key of this.#shelves.keys()) this.#close(key);
    await Promise.all(this.#clearing);
    return this.#left;
  }

  full(): Promise<void> {
    return this.#full.promise;
  }

  #isUsual({ size }: Pick<SandboxSpec, 'size'>): boolean {
    const { vm } = this.#options;
    return size === undefined || (size.cpus >= vm.cpus && size.memoryMib >= vm.memoryMib && size.diskGib <= vm.diskGib);
  }

  /** Asked for now, so that it is the last one to give way. */
  #shelfOf({ layer, image }: ShelfOf): Shelf {
    const of = { ...(layer !== undefined && { layer }), ...(image && { image }) };
    const key = keyOf(of);
    const shelf = this.#shelves.get(key) ?? this.#open(of);
    this.#shelves.delete(key);
    this.#shelves.set(key, shelf);
    this.#askedAt.set(shelf, performance.now());
    const others = [...this.#shelves.keys()].filter((one) => one !== hostKey);
    for (const oldest of others.slice(0, Math.max(0, others.length - this.#options.others))) this.#close(oldest);
    return shelf;
  }

  #open(of: ShelfOf): Shelf {
    const { maxAgeMs, log } = this.#options;
    const key = keyOf(of);
    const onGone = (why: 'old' | 'lost'): void => {
      const isForgotten = performance.now() - (this.#askedAt.get(shelf) ?? 0) >= maxAgeMs;
      // One whose VMs end by themselves would be made again and again.
      if (key !== hostKey && (why === 'lost' || isForgotten) && this.#shelves.get(key) === shelf) this.#close(key);
      this.#fill();
    };
    const shelf = createShelf(of, { maxAgeMs, left: this.#left, onGone, log });
    return shelf;
  }

  #close(key: string): void {
    const shelf = this.#shelves.get(key);
    if (!shelf) return;
    this.#shelves.delete(key);
    this.#clear(shelf);
  }

  #clear(shelf: Shelf): void {
    const clearing = shelf
      .clear()
      .catch((thrown: unknown) => this.#options.log.error({ err: asFixError(thrown) }, 'a VM of the pool could not be thrown away'));
    this.#clearing.add(clearing);
    void clearing.finally(() => this.#clearing.delete(clearing));
  }

  /** The host's first, then what was asked for last. */
  #findShort(): Shelf | undefined {
    const host = this.#shelves.get(hostKey);
    return [host, ...[...this.#shelves.values()].toReversed()].find((shelf) => shelf !== undefined && shelf.size < this.#options.size);
  }

  /** One boot after the other until enough wait: runs have the processors first. */
  #fill(): void {
    const short = this.#closing.signal.aborted ? undefined : this.#findShort();
    if (!short) {
      this.#isFull = true;
      return this.#full.resolve();
    }
    if (this.#isFull) this.#full = Promise.withResolvers();
    this.#isFull = false;
    if (this.#filling || this.#retry) return;
    const { availableMib, vm, log } = this.#options;
    // What waits takes little. But a guest that runs may still claim all of its memory, so there has to be as much.
    if (availableMib() < vm.memoryMib) {
      log.debug({ availableMib: availableMib(), neededMib: vm.memoryMib }, 'no memory for a VM that waits');
      this.#fillLater();
      return;
    }
    this.#filling = this.#add(short)
      .catch((thrown: unknown) => {
        if (this.#closing.signal.aborted) return;
        log.warn({ err: asFixError(thrown), layer: short.of.layer, image: short.of.image?.key }, 'the pool could not boot a VM');
        const key = keyOf(short.of);
        // A kept disk or an image may be gone from this host.
        if (key === hostKey) this.#fillLater();
        else if (this.#shelves.get(key) === short) this.#close(key);
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

  async #add(shelf: Shelf): Promise<void> {
    const { signal } = this.#closing;
    const sandbox = await this.#options.provider.boot({ ...shelf.of, id: `pool-${randomBytes(6).toString('hex')}`, signal });
    await shelf.add(sandbox, signal);
    // It had to give way meanwhile.
    if (this.#shelves.get(keyOf(shelf.of)) !== shelf) this.#clear(shelf);
  }
}
