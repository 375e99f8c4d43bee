/** Connections to hosts whose requests are inspected: TLS that is verified here, kept open and shared by the requests of a run. */
import { Agent } from 'node:http';
import type { ClientRequestArgs, RequestOptions } from 'node:http';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { dialTunnel, findRoute, onceInTime } from './dial.ts';
import type { DialOptions, DialRequest } from './dial.ts';
import { verified } from './trust.ts';

/** The address of an allowed host turned out to be out of bounds. */
export class BlockedAddressError extends Error {
  readonly rule: string;

  constructor(rule: string) {
    super(rule);
    this.rule = rule;
  }
}

/** Beside host and port, which are the key that connections are shared by. */
type UpstreamOptions = ClientRequestArgs & { readonly call?: Omit<DialRequest, 'signal'> };

/** Requests that are on their way at once. */
const maxRequests = 32;
/** Beside them: more than any package manager has under way. */
const maxWaiting = 512;

/** Turns for requests: the agent does not count connections that are still being made. */
export class Semaphore {
  #free = maxRequests;
  readonly #waiting = new Set<() => void>();

  /** Rejects when the signal aborts first, and when too many wait already: each holds its headers in memory. */
  async take(signal: AbortSignal): Promise<Disposable> {
    if (this.#waiting.size >= maxWaiting) throw Object.assign(new Error('too many requests wait'), { code: 'too many requests at once' });
    while (this.#free === 0) await this.#wait(signal);
    signal.throwIfAborted();
    this.#free -= 1;
    return { [Symbol.dispose]: () => this.#giveBack() };
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
    this.#waiting.delete(resolve);
    if (signal.aborted) {
      this.#wakeOne();
      signal.throwIfAborted();
    }
  }

  #giveBack(): void {
    this.#free += 1;
    this.#wakeOne();
  }

  #wakeOne(): void {
    const [next] = this.#waiting;
    if (next) this.#waiting.delete(next);
    next?.();
  }
}

export class UpstreamAgent extends Agent {
  readonly #dial: DialOptions;
  readonly #signal: AbortSignal;

  /** `signal` ends all connections. */
  constructor(dial: DialOptions, signal: AbortSignal) {
    super({ keepAlive: true, maxFreeSockets: 16, timeout: 60_000, scheduling: 'lifo' });
    this.#dial = dial;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.destroy());
  }

  /** For one request over a connection that is nobody else's. */
  connectOnce(call: Omit<DialRequest, 'signal'>): Pick<RequestOptions, 'createConnection'> {
    return { createConnection: (options, callback) => this.createConnection({ ...options, call }, callback) };
  }

  override createConnection(options: UpstreamOptions, callback?: (error: Error | null, stream: Duplex) => void): undefined {
    void this.#answer(options, callback ?? (() => {}));
  }

  async #answer(options: UpstreamOptions, callback: (error: Error | null, stream: Duplex) => void): Promise<void> {
    const made = await this.#connect(options).catch((error: unknown) => ({ error: error instanceof Error ? error : new Error(String(error)) }));
    // Node's own agent hands over nothing beside an error either; its type does not say so.
    if ('error' in made) callback(made.error, undefined as unknown as Duplex);
    else callback(null, made);
  }

  async #connect({ call: asked }: UpstreamOptions): Promise<Duplex> {
    if (!asked) throw new Error('a request without its target');
    const call: DialRequest = { ...asked, signal: this.#signal };
    const route = await findRoute(call, this.#dial);
    if (route.kind === 'closed') throw new BlockedAddressError(route.rule);
    const socket = await dialTunnel(route, call, this.#dial);
    const { host, isAddress } = call.target;
    const secure = connectTls({ socket, ...verified(this.#dial.trust, host), ALPNProtocols: ['http/1.1'], ...(!isAddress && { servername: host }) });
    secure.on('error', () => {});
    try {
      await onceInTime(secure, 'secureConnect', { signal: this.#signal, timeoutMs: this.#dial.timeoutMs });
      return secure;
    } catch (error) {
      secure.destroy();
      socket.destroy();
      throw error;
    }
  }
}
