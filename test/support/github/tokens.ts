/**
 * Every token that the stand-in knows. The emulator's own table knows neither expiry nor revocation and takes an
 * unknown token for its first user, so no token of a client ever reaches it.
 */
import { createPublicKey, randomBytes, randomUUID, verify } from 'node:crypto';
import { Refusal, type StandInApp } from './world.ts';

export type TokenFormat = 'short' | 'jwt';

export interface TokenRow {
  /** What the recorder prints instead of the value. */
  readonly id: string;
  readonly value: string;
  readonly login: string | null;
  /** Null for a user's token, which may do what the user may. */
  readonly permissions: Readonly<Record<string, string>> | null;
  /** Null is every repository of the installation. */
  readonly repositoryIds: readonly number[] | null;
  readonly mintedAt: number;
  readonly expiresAt: number;
  revoked: boolean;
}

export interface TokenTable {
  readonly rows: readonly TokenRow[];
  mint(grant: Pick<TokenRow, 'permissions' | 'repositoryIds'>): TokenRow;
  /** The user's one personal token; made when first asked for. */
  user(login: string): TokenRow;
  /** Undefined for what is unknown, expired or revoked: GitHub does not tell them apart either. */
  find(value: string): TokenRow | undefined;
}

const hourMs = 3_600_000;

export function createTokenTable(options: { appId: number; format: TokenFormat; now: () => number }): TokenTable {
  const rows: TokenRow[] = [];
  const add = (row: Omit<TokenRow, 'id' | 'revoked' | 'mintedAt'>): TokenRow => {
    const full = { ...row, id: `token-${rows.length + 1}`, revoked: false, mintedAt: options.now() };
    rows.push(full);
    return full;
  };
  return {
    rows,
    mint: (grant) => add({ ...grant, login: null, value: installationToken(options.appId, options.format), expiresAt: options.now() + hourMs }),
    user: (login) =>
      rows.find((row) => row.login === login) ??
      add({ login, permissions: null, repositoryIds: null, value: `ghp_${letters(36)}`, expiresAt: Number.POSITIVE_INFINITY }),
    find: (value) => rows.find((row) => row.value === value && !row.revoked && row.expiresAt > options.now()),
  };
}

/** Old: `ghs_` and 36 characters. New: `ghs_<APPID>_<JWT>`, about 520; nothing may cut or pattern-match it by length. */
function installationToken(appId: number, format: TokenFormat): string {
  if (format === 'short') return `ghs_${letters(36)}`;
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const payload = part({ iss: 'stand-in', sub: String(appId), jti: randomUUID(), iat: Math.floor(Date.now() / 1000) });
  return `ghs_${appId}_${part({ alg: 'RS256', typ: 'JWT' })}.${payload}.${randomBytes(256).toString('base64url')}`;
}

function letters(count: number): string {
  return randomBytes(count * 2)
    .toString('base64')
    .replace(/[^A-Za-z0-9]/g, '')
    .slice(0, count);
}

const undecodable = (): Refusal => new Refusal(401, 'A JSON web token could not be decoded');

/** GitHub's rules for an App's JWT: RS256, our issuer, issued in the past, expiring at most ten minutes ahead. */
export function checkAppJwt(jwt: string, app: StandInApp, nowMs: number): void {
  const [header, payload, signature] = jwt.split('.');
  if (header === undefined || payload === undefined || signature === undefined) throw undecodable();
  const claims = decode(payload);
  if (decode(header)['alg'] !== 'RS256') throw undecodable();
  const now = Math.floor(nowMs / 1000);
  const { iat, exp, iss } = claims;
  if (iss === undefined) throw new Refusal(401, "Missing 'issuer' claim ('iss') in assertion");
  if (Number(iss) !== app.appId) throw new Refusal(404, 'Integration not found');
  const key = createPublicKey(app.privateKey);
  if (!verify('RSA-SHA256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'))) throw undecodable();
  if (!Number.isInteger(iat) || Number(iat) > now) {
    throw new Refusal(401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued");
  }
  if (!Number.isInteger(exp) || Number(exp) <= now) {
    throw new Refusal(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires");
  }
  if (Number(exp) > now + 600) throw new Refusal(401, "'Expiration time' claim ('exp') is too far in the future");
}

function decode(part: string): Record<string, unknown> {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;
  } catch {
    throw undecodable();
  }
}
