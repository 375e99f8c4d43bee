/**
 * One stream from the guest, from its arrival to its end. It carries one request, so nothing can be smuggled behind
 * that. Its end does not wait for the guest: an SSH channel emits `close` only when the other side agrees.
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { OpenEntry } from './ledger.ts';
import type { Scheme } from './policy.ts';
import type { Target } from './target.ts';

/** A request that was let through. */
export interface ProxyRequest {
  readonly method: string;
  readonly target: Target;
  readonly scheme: Scheme;
}

/** For the guest to take an answer before its stream is closed. */
const lingerMs = 2_000;

export class Connection {
  readonly stream: Duplex;
  /** Aborts when the connection is over; everything opened on its behalf hangs on this. */
  readonly signal: AbortSignal;
  /** Its line in the ledger. */
  entry: OpenEntry | null = null;
  /** While something passes, or is about to. */
  asked: ProxyRequest | null = null;
  /** True when the tunnel ends here and its requests are looked at. */
  isInspected = false;
  /** True from the first request head on; another one is not taken. */
  isUsed = false;
  /** True when only the guest's taking of the answer is waited for. */
  isLingering = false;
  /** True once a status line was written: no other can follow. */
  isAnswered = false;
  /** True when the requests in it end with the answer under way: what followed could be a body as well. */
  isEnding = false;
  readonly #controller = new AbortController();
  readonly #onEnd: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(stream: Duplex, onEnd: () => void) {
    this.stream = stream;
    this.#onEnd = onEnd;
    this.signal = this.#controller.signal;
    stream.once('close', () => this.end());
  }

  /** Ends the connection unless it is armed or touched again within this time; with a rule it was refused then. */
  arm(timeoutMs: number, rule?: string): void {
    if (this.#timer) clearTimeout(this.#timer);
    const end = (): void => (rule === undefined ? this.end() : this.cut(rule));
    this.#timer = this.signal.aborted ? null : setTimeout(end, timeoutMs).unref();
  }

  /** Something moved: the running time limit starts again. */
  touch(): void {
    this.#timer?.refresh();
  }

  /** Cuts a connection that was let through before. */
  cut(rule: string): void {
    if (this.entry && this.asked) Object.assign(this.entry, { decision: 'refused', rule });
    this.end();
  }

  /** What was allowed stays so in the ledger: it was used, and ends because its phase did. */
  endByPhase(note: string): void {
    this.note(note);
    this.end();
  }

  /** What became of it, beside the rule. */
  note(text: string): void {
    if (this.entry) this.entry.rule = `${this.entry.rule}; ${text}`;
  }

  /** The answer is written: lets the guest read it, drops what it still sends, then ends. */
  linger(): void {
    const { stream } = this;
    this.asked = null;
    this.isLingering = true;
    this.arm(lingerMs);
    const isRead = stream.readableEnded ? null : once(stream, 'end');
    const isWritten = stream.writableFinished ? null : once(stream, 'finish');
    Promise.all([isRead, isWritten]).then(
      () => this.end(),
      () => this.end(),
    );
    stream.resume();
    stream.end();
  }

  end(): void {
    if (this.signal.aborted) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.asked = null;
    this.#controller.abort();
    this.stream.destroy();
    this.#onEnd();
  }
}
