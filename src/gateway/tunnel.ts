/** A CONNECT tunnel: opaque, but the name in its TLS hello must be the one that was let through (else: domain fronting). */
import type { Socket } from 'node:net';
import { Transform } from 'node:stream';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readServerName } from './client-hello.ts';
import type { ServerName } from './client-hello.ts';
import { defaultPorts } from './policy.ts';
import { canonicalHost } from './target.ts';
import type { Target } from './target.ts';

export interface TunnelEnds {
  readonly guest: Duplex;
  readonly remote: Socket;
  readonly target: Target;
  readonly signal: AbortSignal;
  /** The hello has been seen and is right. */
  onOpen(): void;
  /** The hello is wrong; nothing of it has been passed on. */
  onRefused(rule: string): void;
  onBytes(direction: 'in' | 'out', count: number): void;
}

/** Fatal alert `access_denied` (RFC 8446 6.2): the client prints it, where a cut connection would say nothing. */
const accessDenied = Buffer.from([21, 3, 3, 0, 2, 2, 49]);

/** For a tunnel whose hello does not come, or not all of it. */
export const lateHello = 'no TLS hello in time';

/** Moves bytes both ways, each way ending by itself, until both have ended or the signal aborts. Never rejects. */
export async function runTunnel(ends: TunnelEnds): Promise<void> {
  const { guest, remote, signal } = ends;
  const out = pipeline(guest, createHelloGuard(ends), countBytes(ends, 'out'), remote, { signal });
  const back = pipeline(remote, countBytes(ends, 'in'), guest, { signal });
  await Promise.allSettled([out, back]);
}

/** A transform that lets everything through and says how much it was. */
export function countBytes(ends: Pick<TunnelEnds, 'onBytes'>, direction: 'in' | 'out'): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      ends.onBytes(direction, chunk.length);
      done(null, chunk);
    },
  });
}

/** Holds the guest's first bytes back until they are judged. */
function createHelloGuard(ends: TunnelEnds): Transform {
  let held: Buffer | null = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (held === null) return done(null, chunk);
      held = Buffer.concat([held, chunk]);
      const found = readServerName(held);
      if (found.kind === 'more') return done();
      const problem = judgeName(found, ends.target);
      // Without `done` nothing follows: the stream stays shut until the connection is cut.
      if (problem !== null) return refuse(ends, problem);
      const seen = held;
      held = null;
      ends.onOpen();
      done(null, seen);
    },
    flush(done) {
      if (held === null || held.length === 0) return done();
      refuse(ends, 'unfinished TLS hello');
    },
  });
}

/** Null when the name is right. Off the default port other protocols than TLS are let through: the port was named. */
function judgeName(found: Exclude<ServerName, { kind: 'more' }>, target: Target): string | null {
  const isTlsOnly = target.port === defaultPorts.connect;
  if (found.kind === 'not_tls') return isTlsOnly ? 'not TLS' : null;
  // TLS has no server name for an address literal (RFC 6066 3).
  if (found.kind === 'none') return isTlsOnly && !target.isAddress ? 'no TLS server name' : null;
  const name = canonicalHost(found.name);
  return 'host' in name && name.host === target.host ? null : 'another TLS server name';
}

/**
 * Reads the hello of a tunnel that ends at the gateway and puts it back. Resolves to what is wrong with it, or null; the
 * guest has been told then. Never resolves when the stream ends first.
 */
export function readHello(guest: Duplex, target: Target): Promise<string | null> {
  return new Promise((resolve) => {
    let held: Buffer = Buffer.alloc(0);
    const read = (): void => {
      for (let chunk = guest.read() as Buffer | null; chunk !== null; chunk = guest.read() as Buffer | null) held = Buffer.concat([held, chunk]);
      const found = readServerName(held);
      if (found.kind === 'more') return;
      guest.off('readable', read);
      const problem = found.kind === 'not_tls' ? 'not TLS' : judgeName(found, target);
      if (problem === null) guest.unshift(held);
      else guest.write(accessDenied);
      resolve(problem);
    };
    guest.on('readable', read);
    read();
  });
}

function refuse({ guest, onRefused }: TunnelEnds, rule: string): void {
  guest.write(accessDenied, () => onRefused(rule));
}
