/**
 * BullMQ's worker, which also tells whether its loop still turns: a worker that is there and takes nothing looks just
 * like one that has nothing to do.
 */
import { Worker } from 'bullmq';
import type { Job, Processor, WorkerOptions } from 'bullmq';

export class QueueLoop extends Worker {
  readonly #hands: number;
  readonly #silentMs: number;
  #inHand = 0;
  #turnedAt = performance.now();

  /** `silentMs`: without an answer of Redis for so long the loop is dead. One that is idle is answered every `drainDelay`. */
  constructor(name: string, processor: (job: Job, token?: string) => Promise<unknown>, options: WorkerOptions & { concurrency: number; silentMs: number }) {
    // Two parameters: what BullMQ would hand over as a third is a signal that we do not use.
    const counted: Processor = async (job, token) => {
      this.#inHand += 1;
      try {
        return await processor(job, token);
      } finally {
        this.#inHand -= 1;
        this.#turnedAt = performance.now();
      }
    };
    super(name, counted, options);
    this.#hands = options.concurrency;
    this.#silentMs = options.silentMs;
  }

  /** It runs, and has its hands full or was answered by Redis lately. */
  isTurning(): boolean {
    return this.isRunning() && (this.#inHand >= this.#hands || performance.now() - this.#turnedAt < this.#silentMs);
  }

  protected override async moveToActive(token: string, name?: string): Promise<Job> {
    const job = await super.moveToActive(token, name);
    this.#turnedAt = performance.now();
    return job;
  }
}
