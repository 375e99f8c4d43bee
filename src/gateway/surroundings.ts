/** What of the host must reach the guest, so that a repository which installs on this network also installs in a VM of it. */
import { createHash } from 'node:crypto';
import { findCertificates } from './certificates.ts';
import { createGuestEnvironment } from './guest-environment.ts';
import { guestJavaStore, javaStoreScript } from './java-store.ts';
import type { Registry } from './package-names.ts';
import { authorityText, parseAuthority } from './target.ts';

export interface SurroundingsOptions {
  /** PEM files whose certificates are trusted too: the operator's setting, the file of NODE_EXTRA_CA_CERTS. */
  readonly extraCaFiles: readonly string[];
  /** npm's `registry` setting on the host; credentials in it stay here. */
  readonly npmRegistry: string | null;
  /** Default: where Debian keeps what an administrator added. */
  readonly caFolders?: readonly string[];
}

export interface Surroundings {
  /** Empty when the host trusts nothing special. */
  readonly caPem: string;
  readonly guestEnv: Readonly<Record<string, string>>;
  /** For the allowlist of the setup phase. */
  readonly registryHosts: readonly string[];
  /** The same, as the gateway has to know them. */
  readonly registries: readonly Registry[];
  /** Write a file of `trustFile` to `path` as root, then run `argv` as root; doing it again changes nothing. */
  readonly install: { readonly path: string; readonly argv: readonly string[] };
  /** What could not be used, for the log. */
  readonly skipped: readonly string[];
}

/** In the guest. The first is where Debian looks for local certificates, so `update-ca-certificates` keeps them too. */
export const guestCaFile = '/usr/local/share/ca-certificates/mayfly-host.crt';
export const guestBundle = '/etc/ssl/certs/ca-certificates.crt';

// `update-ca-certificates` takes many seconds under emulation; one more block at the end of the bundle is what it would do.
const installScript =
  'grep -qxFe "$(head -n 1 "$1")" "$2" || cat "$1" >> "$2"; [ ! -e "$3" ] || ! command -v python3 > /dev/null || exec python3 -c "$4" "$2" "$3"';

const defaultRegistry = 'https://registry.npmjs.org';

export async function readSurroundings(options: SurroundingsOptions): Promise<Surroundings> {
  const found = await findCertificates(options.caFolders ?? ['/usr/local/share/ca-certificates'], options.extraCaFiles);
  const registry = readRegistry(options.npmRegistry);
  return {
    caPem: found.pem,
    guestEnv: createGuestEnvironment({ registry: registry?.url ?? null, ca: { file: guestCaFile, bundle: guestBundle } }),
    registryHosts: registry ? [registry.host] : [],
    registries: registry ? [{ kind: 'npm', host: registry.host, basePath: new URL(registry.url).pathname }] : [],
    install: { path: guestCaFile, argv: ['sh', '-c', installScript, 'sh', guestCaFile, guestBundle, guestJavaStore, javaStoreScript] },
    skipped: [
      ...found.skipped,
      ...(options.npmRegistry !== null && !registry && !isDefault(options.npmRegistry) ? ['npm registry: not an http(s) address'] : []),
    ],
  };
}

/** The certificates that a guest trusts beside the usual ones, in one file. Its first line tells one set from another. */
export function trustFile(pems: readonly string[]): string {
  const content = pems.join('');
  return content === '' ? '' : `# Certificates of Mayfly, ${createHash('sha256').update(content).digest('hex')}\n${content}`;
}

/** The registry without credentials and query, and the allowlist entry for it. Null for npm's own, which is a preset. */
function readRegistry(setting: string | null): { url: string; host: string } | null {
  if (setting === null || isDefault(setting) || !URL.canParse(setting)) return null;
  const url = new URL(setting);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return null;
  const usualPort = url.protocol === 'https:' ? 443 : 80;
  const target = parseAuthority(url.host, usualPort);
  if ('problem' in target) return null;
  const host = target.port === usualPort ? target.host : authorityText(target);
  return { url: `${url.origin}${url.pathname.replace(/\/?$/, '/')}`, host };
}

function isDefault(setting: string): boolean {
  return setting.replace(/\/$/, '') === defaultRegistry;
}
