/**
 * The certificate authority of one VM's gateway. It lives and dies with the gateway: its key cannot be taken out of this
 * process, and only that VM trusts its certificate.
 */
import { generateKeyPair, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { Host } from './target.ts';

export interface Identity {
  /** PEM, as `node:tls` takes it. */
  readonly key: string;
  readonly cert: string;
}

export interface CertificateAuthority {
  /** The certificate that the guest has to trust. */
  readonly pem: string;
  /** A certificate for this host, made once. */
  identify(host: Host): Promise<Identity>;
}

/** A wildcard rule lets a guest ask for any number of names. */
const maxIdentities = 200;
const hourMs = 3_600_000;
/** The longest run is a day; a guest's clock may be off by a little. */
const validity = (): { notBefore: Date; notAfter: Date } => ({ notBefore: new Date(Date.now() - hourMs), notAfter: new Date(Date.now() + 48 * hourMs) });
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Positive, as RFC 5280 4.1.2.2 wants it. */
const serialNumber = (): string => `01${randomBytes(15).toString('hex')}`;

export async function createCertificateAuthority(): Promise<CertificateAuthority> {
  // Loaded by the first run that needs it: 80 ms and 15 MB, which the web process never has to pay.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const keys = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(),
    serialNumber: serialNumber(),
    name: `CN=Mayfly gateway ${randomBytes(4).toString('hex')}`,
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const issue = async ({ host, isAddress }: Host): Promise<Identity> => {
    const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
    const certificate = await x509.X509CertificateGenerator.create({
      ...validity(),
      serialNumber: serialNumber(),
      // A common name ends at 64 characters, and nobody reads it where there is an alternative name.
      subject: 'CN=Mayfly gateway leaf',
      issuer: authority.subject,
      signingAlgorithm: algorithm,
      signingKey: keys.privateKey,
      publicKey: publicKey.toCryptoKey(algorithm, true, ['verify']),
      extensions: [
        new x509.SubjectAlternativeNameExtension([{ type: isAddress ? 'ip' : 'dns', value: host }]),
        await x509.AuthorityKeyIdentifierExtension.create(authority),
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      ],
    });
    return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }), cert: certificate.toString('pem') };
  };
  return { pem: `${authority.toString('pem')}\n`, identify: rememberSome(issue) };
}

/** The oldest is forgotten first. */
function rememberSome(issue: (host: Host) => Promise<Identity>): CertificateAuthority['identify'] {
  const issued = new Map<string, Promise<Identity>>();
  return async (host) => {
    const known = issued.get(host.host);
    if (known) return await known;
    const making = issue(host);
    issued.set(host.host, making);
    const [oldest] = issued.keys();
    if (issued.size > maxIdentities && oldest !== undefined) issued.delete(oldest);
    return await making;
  };
}
