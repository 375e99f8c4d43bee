/**
 * What a run has finished and GitHub has not taken yet. It holds code of private repositories, so it lies in Redis
 * encrypted, under a key that is made of the signing key; whoever can write there can at most take it away.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { within } from './deadline.ts';

/** A patch of the largest size, as text, with the report that belongs to it. */
const maxBytes = 8 * 1024 * 1024;
/** Longer than a run waits for GitHub. */
const keptSeconds = 2 * 24 * 60 * 60;
const answerMs = 30_000;
const cipher = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

export interface Vault {
  /** False when it is too large to be kept. Throws `redis_unavailable`. */
  keep(id: string, value: unknown): Promise<boolean>;
  /** Null when there is nothing, or when it was not kept here under this id. Throws `redis_unavailable`. */
  recall(id: string): Promise<unknown>;
  drop(id: string): Promise<void>;
}

export function createVault({ redis, prefix, signingKey }: { redis: Redis; prefix: string; signingKey: string }): Vault {
  const key = Buffer.from(hkdfSync('sha256', signingKey, '', 'mayfly vault', 32));
  const keyOf = (id: string): string => `${prefix}:vault:${id}`;
  return {
    async keep(id, value) {
      const plain = Buffer.from(JSON.stringify(value));
      if (plain.length > maxBytes) return false;
      await within(answerMs, redis.set(keyOf(id), encrypt(key, id, plain), 'EX', keptSeconds));
      return true;
    },
    async recall(id) {
      const length = await within(answerMs, redis.strlen(keyOf(id)));
      if (length === 0 || length > maxBytes + nonceBytes + tagBytes) return null;
      const sealed = await within(answerMs, redis.getBuffer(keyOf(id)));
      return sealed === null ? null : decryptOrNull(key, id, sealed);
    },
    drop: async (id) => void (await within(answerMs, redis.del(keyOf(id)))),
  };
}

/** The id is part of what is authenticated: nothing can be moved to another run. */
function encrypt(key: Buffer, id: string, plain: Buffer): Buffer {
  const nonce = randomBytes(nonceBytes);
  const encryption = createCipheriv(cipher, key, nonce).setAAD(Buffer.from(id));
  const text = Buffer.concat([encryption.update(plain), encryption.final()]);
  return Buffer.concat([nonce, encryption.getAuthTag(), text]);
}

function decryptOrNull(key: Buffer, id: string, sealed: Buffer): unknown {
  try {
    const decryption = createDecipheriv(cipher, key, sealed.subarray(0, nonceBytes), { authTagLength: tagBytes }).setAAD(Buffer.from(id));
    decryption.setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes));
    const plain = Buffer.concat([decryption.update(sealed.subarray(nonceBytes + tagBytes)), decryption.final()]);
    return JSON.parse(plain.toString('utf8'));
  } catch {
    return null;
  }
}
