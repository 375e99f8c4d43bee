/** Whom the gateway believes when it connects over TLS itself. */
import { createSecureContext, getCACertificates } from 'node:tls';
import type { ConnectionOptions, SecureContext } from 'node:tls';

/** What the names in a certificate are checked with: Node's own list, and what this host trusts beside it. */
export type Trust = () => SecureContext;

/** Made when it is first needed: reading 150 certificates takes longer than a handshake. */
export function createTrust(extraPem: string): Trust {
  let context: SecureContext | null = null;
  return () => (context ??= createSecureContext({ ca: [...getCACertificates('default'), ...(extraPem === '' ? [] : [extraPem])] }));
}

/** For `connect`: without the certificate of this host there is no connection, whatever NODE_TLS_REJECT_UNAUTHORIZED says of other programs' business. */
export function verified(trust: Trust, host: string): Pick<ConnectionOptions, 'host' | 'secureContext' | 'rejectUnauthorized'> {
  return { host, secureContext: trust(), rejectUnauthorized: true };
}
