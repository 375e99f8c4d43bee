/**
 * A fresh ed25519 key in the format of OpenSSH (PROTOCOL.key), which sshd and ssh2 both read. node:crypto writes only
 * PKCS#8 and JWK; about one in 250 keys of ssh2's own generator is malformed.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';

const type = 'ssh-ed25519';
const cipherBlockBytes = 8;

export interface SshKey {
  readonly privateKey: string;
  /** The public key, as it goes over the wire. */
  readonly blob: Buffer;
}

export function createSshKey(): SshKey {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const publicKey = Buffer.from(jwk.x ?? '', 'base64url');
  const secret = Buffer.concat([Buffer.from(jwk.d ?? '', 'base64url'), publicKey]);
  const blob = Buffer.concat([field(type), field(publicKey)]);
  const check = randomBytes(4);
  const inner = Buffer.concat([check, check, blob, field(secret), field('')]);
  const missing = (cipherBlockBytes - (inner.length % cipherBlockBytes)) % cipherBlockBytes;
  const padding = Buffer.from(Array.from({ length: missing }, (_, index) => index + 1));
  const head = [Buffer.from('openssh-key-v1\0'), field('none'), field('none'), field(''), uint32(1), field(blob)];
  const text = Buffer.concat([...head, field(Buffer.concat([inner, padding]))]).toString('base64');
  const lines = text.match(/.{1,70}/g) ?? [];
  return { privateKey: ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n'), blob };
}

function field(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
