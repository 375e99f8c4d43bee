import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guestJavaStore } from '../../src/gateway/java-store.ts';
import { guestBundle, guestCaFile, readSurroundings, trustFile } from '../../src/gateway/surroundings.ts';
import type { SurroundingsOptions } from '../../src/gateway/surroundings.ts';
import { createCertificateAuthority } from '../support/gateway/certificate-authority.ts';
import type { CertificateAuthority } from '../support/gateway/certificate-authority.ts';

let first: CertificateAuthority;
let second: CertificateAuthority;
let folder: string;

beforeAll(() => {
  first = createCertificateAuthority('First authority');
  second = createCertificateAuthority('Second authority');
  folder = mkdtempSync(join(tmpdir(), 'mayfly-surroundings-'));
});
afterAll(() => {
  first[Symbol.dispose]();
  second[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

const read = (options: Partial<SurroundingsOptions>): ReturnType<typeof readSurroundings> =>
  readSurroundings({ extraCaFiles: [], npmRegistry: null, caFolders: [], ...options });

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function subjects(pem: string): string[] {
  return pem
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter((block) => block.includes('BEGIN'))
    .map((block) => new X509Certificate(block).subject);
}

describe('the certificates of the host', () => {
  it('come from folders, however deep, and from named files, each once', async () => {
    const store = join(folder, 'store');
    mkdirSync(join(store, 'deep'), { recursive: true });
    writeFileSync(join(store, 'deep', 'a.crt'), first.caPem);
    writeFileSync(join(store, 'b.pem'), second.caPem);

    const found = await read({ caFolders: [store], extraCaFiles: [first.caFile, write('both.pem', `${first.caPem}\n${second.caPem}`)] });

    expect(subjects(found.caPem)).toEqual(['CN=First authority', 'CN=Second authority']);
    expect(found.guestEnv).toMatchObject({ NODE_EXTRA_CA_CERTS: found.install.path, SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt' });
  });

  it('are only certificates: no key, no comment, no name of a file leaves', async () => {
    const key = readFileSync(join(first.folder, 'ca.key'), 'utf8');
    const bundle = write('with-key.pem', `# password: hunter22\n${key}\n${first.caPem}\nsubject=secret\n${key}`);

    const { caPem } = await read({ extraCaFiles: [bundle, join(first.folder, 'ca.key')] });

    expect(subjects(caPem)).toEqual(['CN=First authority']);
    expect(caPem.match(/-----BEGIN [A-Z ]+-----/g)).toEqual(['-----BEGIN CERTIFICATE-----']);
    expect(caPem).not.toMatch(/KEY|hunter22|secret/);
    expect(caPem).not.toContain(key.split('\n')[1]);
  });

  it('leave out what is over and what every guest trusts anyway', async () => {
    const old = join(folder, 'old.crt');
    execFileSync('openssl', ['x509', '-in', 'ca.crt', '-signkey', 'ca.key', '-days', '-1', '-out', old], { cwd: first.folder, stdio: 'ignore' });

    const found = await read({ extraCaFiles: [old, write('roots.pem', rootCertificates.join('\n'))] });

    expect(found.caPem).toBe('');
  });

  it('pass by what cannot be read and say so', async () => {
    const large = write('large.pem', `${first.caPem}${'#'.repeat(2 ** 20)}`);
    const broken = write('broken.pem', '-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n');

    const found = await read({ extraCaFiles: [join(folder, 'absent.pem'), folder, large, broken, second.caFile] });

    expect(subjects(found.caPem)).toEqual(['CN=Second authority']);
    expect(found.skipped).toHaveLength(3);
    expect(found.skipped.join()).toMatch(/absent\.pem: .*ENOENT.*EISDIR.*large\.pem: larger than/);
  });

  it('are added to the bundle of the guest once, however often', async () => {
    const { caPem, install } = await read({ extraCaFiles: [first.caFile] });
    const file = write('guest.crt', trustFile([caPem]));
    const bundle = write('bundle.crt', second.caPem);
    const store = join(folder, 'cacerts');
    const places: Readonly<Record<string, string>> = { [guestCaFile]: file, [guestBundle]: bundle, [guestJavaStore]: store };
    const argv = install.argv.map((word) => places[word] ?? word);
    const [program = '', ...rest] = argv;

    for (let turn = 0; turn < 3; turn += 1) execFileSync(program, rest);

    expect(install.path).toBe(guestCaFile);
    expect(subjects(readFileSync(bundle, 'utf8'))).toEqual(['CN=Second authority', 'CN=First authority']);
    expect(existsSync(store)).toBe(false);

    write('cacerts', 'as Debian made it');
    execFileSync(program, rest);

    const [magic, , certificates] = [0, 4, 8].map((offset) => readFileSync(store).readUInt32BE(offset));
    expect([magic, certificates]).toEqual([0xfe_ed_fe_ed, 2]);
  });
});

describe('the npm registry of the host', () => {
  it.each([
    ['https://npm.corp.example/', 'npm.corp.example', 'https://npm.corp.example/'],
    ['https://user:t0ken@npm.corp.example:8443/npm?token=t0ken#t0ken', 'npm.corp.example:8443', 'https://npm.corp.example:8443/npm/'],
    ['http://npm.corp.example:80', 'npm.corp.example', 'http://npm.corp.example/'],
  ])('%s is allowed as %s and set without credentials', async (npmRegistry, host, url) => {
    const { registryHosts, guestEnv } = await read({ npmRegistry });

    expect(registryHosts).toEqual([host]);
    expect(guestEnv['npm_config_registry']).toBe(url);
    expect(JSON.stringify(guestEnv)).not.toContain('t0ken');
  });

  it.each([null, 'https://registry.npmjs.org/', 'https://registry.npmjs.org'])('needs nothing when it is %s', async (npmRegistry) => {
    const { registryHosts, guestEnv, skipped } = await read({ npmRegistry });

    expect([registryHosts, guestEnv['npm_config_registry'], skipped]).toEqual([[], undefined, []]);
  });

  it.each(['file:///etc', 'nonsense', 'https://a b/'])('is passed by when it is %s', async (npmRegistry) => {
    const { registryHosts, skipped } = await read({ npmRegistry });

    expect([registryHosts, skipped]).toEqual([[], ['npm registry: not an http(s) address']]);
  });
});
