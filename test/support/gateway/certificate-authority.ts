/** A throwaway certificate authority, made by the host's openssl in a folder that is gone when it is disposed of. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CertificateAuthority extends Disposable {
  readonly caPem: string;
  readonly caFile: string;
  /** The folder with everything in it, the keys too. */
  readonly folder: string;
  issue(name: string): { readonly key: string; readonly cert: string };
}

const keyOptions = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export function createCertificateAuthority(commonName = 'Mayfly test authority'): CertificateAuthority {
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-ca-'));
  const openssl = (...argv: readonly string[]): void => void execFileSync('openssl', argv, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  openssl('req', '-x509', ...keyOptions, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', `/CN=${commonName}`);
  return {
    folder,
    caFile: join(folder, 'ca.crt'),
    caPem: readFileSync(join(folder, 'ca.crt'), 'utf8'),
    issue(name) {
      const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-addext', 'basicConstraints=critical,CA:FALSE'];
      openssl('req', '-x509', '-CA', 'ca.crt', '-CAkey', 'ca.key', ...keyOptions, '-keyout', 'leaf.key', '-out', 'leaf.crt', '-days', '2', ...subject);
      return { key: readFileSync(join(folder, 'leaf.key'), 'utf8'), cert: readFileSync(join(folder, 'leaf.crt'), 'utf8') };
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
