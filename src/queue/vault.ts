/**
 * What a run has finished and GitHub has not taken yet. It holds code of private repositories, so it lies in Redis
 * encrypted, under a key that is made of the signing key. Whoever can write there can take it away, or put back what the same run
 * had kept there before, which is as much that run's own; they can neither read nor make one.
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
const maxSealedBytes = maxBytes + nonceBytes + tagBytes;

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
      // One byte more than it may have says that it is too long. In one question: between two it could grow.
      const sealed = await within(answerMs, redis.getrangeBuffer(keyOf(id), 0, maxSealedBytes));
      return sealed.length === 0 || sealed.length > maxSealedBytes ? null : decryptOrNull(key, id, sealed);
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
