/** Waiting for Redis, but not for ever: its client retries without end, and BullMQ's `add` never settles while it is away. */
import { FixError } from '../errors.ts';

/** What the work gives, or `redis_unavailable` when it fails or takes longer. The work itself cannot be called back. */
export async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new FixError('redis_unavailable', { details: { timeoutMs } })), timeoutMs);
  try {
    return await Promise.race([work, late.promise]);
  } catch (thrown) {
    throw thrown instanceof FixError ? thrown : new FixError('redis_unavailable', { cause: thrown });
  } finally {
    clearTimeout(timer);
  }
}
