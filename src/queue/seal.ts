/**
 * What we put into Redis and believe when it comes back. Whoever can write there must not be able to make us work or put
 * words into anyone's mouth: the HMAC also covers what it is and whose it is, so nothing can be forged or moved.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { FixError } from '../errors.ts';

const minKeyLength = 32;

/** As it lies in Redis. */
const Sealed = z.object({ payload: z.string().max(8 * 1024 * 1024), mac: z.string().length(64) });
export type Sealed = z.infer<typeof Sealed>;

export interface Seal {
  close(id: string, value: unknown): Sealed;
  /** Throws `job_invalid` for what was not closed under this id. */
  open(id: string | undefined, sealed: unknown): unknown;
}

/** `scope` keeps apart what is alike. Throws `config_invalid` for a signing key that is too short. */
export function createSeal(signingKey: string, scope: string): Seal {
  if (signingKey.length < minKeyLength) {
    throw new FixError('config_invalid', { details: { problems: [`MAYFLY_JOB_KEY needs at least ${minKeyLength} characters`] } });
  }
  const sign = (id: string, payload: string): Buffer => createHmac('sha256', signingKey).update(`mayfly ${scope} ${id}\n`).update(payload).digest();
  return {
    close(id, value) {
      const payload = JSON.stringify(value);
      return { payload, mac: sign(id, payload).toString('hex') };
    },
    open(id, sealed) {
      const parsed = Sealed.safeParse(sealed);
      if (!parsed.success || id === undefined) throw new FixError('job_invalid', { details: { jobId: id } });
      const { payload, mac } = parsed.data;
      const given = Buffer.from(mac, 'hex');
      const right = sign(id, payload);
      if (given.length !== right.length || !timingSafeEqual(given, right)) throw new FixError('job_invalid', { details: { jobId: id } });
      return JSON.parse(payload) as unknown;
    },
  };
}
