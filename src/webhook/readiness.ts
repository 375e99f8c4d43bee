/** The verdict behind `/readyz`. Anyone may ask, as often as they like: Redis is asked once a second, the log is told of changes only. */
import type { Log } from '../log.ts';

const keptMs = 1_000;

/** A function that says whether a delivery could be queued now; `check` throws when it could not. It never throws itself. */
export function createReadiness(check: () => Promise<void>, log: Log): () => Promise<boolean> {
  let current: Promise<boolean> | null = null;
  let last = true;
  const look = async (): Promise<boolean> => {
    const failure: unknown = await check().then(
      () => null,
      (thrown: unknown) => thrown,
    );
    const ready = failure === null;
    if (ready !== last) log.warn(ready ? {} : { err: failure }, ready ? 'ready again' : 'not ready');
    last = ready;
    return ready;
  };
  return () => {
    if (current) return current;
    const started = look();
    current = started;
    const forget = (): void => {
      current = null;
    };
    void started.then(() => setTimeout(forget, keptMs).unref());
    return started;
  };
}
