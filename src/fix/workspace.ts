/** A clean VM with the repository in it, ready to work: boot, way out, clone, setup. The agent and the proof each get one. */
import { Readable } from 'node:stream';
import type { Gateway } from '../gateway/gateway.ts';
import type { RunUsage } from '../gateway/run-usage.ts';
import { trustFile } from '../gateway/surroundings.ts';
import { FixError } from '../errors.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { Rerun } from '../proof/prove.ts';
import type { ExecResult, GuestImage, HeldImage, Provider, Sandbox } from '../sandbox/sandbox.ts';
import { describeUnlisted, egressOf } from './egress.ts';
import { withdrawRoot } from './guest-root.ts';
import { installNode } from './install-node.ts';
import type { GuestNode } from './install-node.ts';
import { repeatSetup } from './repeat-setup.ts';
import type { RunReport, Timer } from './report.ts';
import type { Plan } from './plan.ts';

/** In the guest, the way out listens here: the reverse end of the SSH connection, not a network. */
const gatewayPort = 3128;

export interface GuestSurroundings {
  /** Certificates that the host trusts beside the usual ones; empty when there are none. */
  readonly caPem: string;
  readonly guestEnv: Readonly<Record<string, string>>;
  readonly registryHosts: readonly string[];
  /** Puts the certificates where the guest's tools look; run once as root. */
  readonly install: { readonly path: string; readonly argv: readonly string[] };
}

export interface WorkspaceOptions {
  readonly id: string;
  readonly provider: Provider;
  /** Counts with the other VMs of the run, or with those of `usage`. */
  readonly openGateway: (phase: string, allow: readonly string[], usage?: RunUsage) => Gateway;
  readonly surroundings: GuestSurroundings;
  readonly guestNodeVersion: string;
  /** What the VM is made of in the place of the template; null for none. */
  readonly image: HeldImage | null;
  readonly snapshot: Snapshot;
  readonly plan: Plan;
  readonly limits: { readonly setupTimeoutMs: number; readonly ancestors: number };
  readonly report: RunReport;
  readonly timed: Timer;
  readonly signal: AbortSignal;
}

/** A setup that was done before, in a VM that is gone. */
export interface KeptSetup {
  /** The layer with it. */
  readonly file: string;
  /** What is checked out there: the base, or one of its ancestors. */
  readonly commit: string;
  /** Null in an image of the repository's own. */
  readonly node: GuestNode | null;
  /** The commands run once more, because they may have read what is different now. */
  readonly again: boolean;
}

export interface Workspace extends AsyncDisposable {
  readonly sandbox: Sandbox;
  readonly gateway: Gateway;
  /** Null in an image of the repository's own, which has what it has. */
  readonly node: GuestNode | null;
  /** For what is done in it. */
  readonly timed: Timer;
  /** Runs the setup commands once more, for a tree that is not the base's. */
  readonly setUpAgain: () => Promise<Rerun>;
}

/** Boots, clones, sets up; or boots from a kept setup, and brings it up to the base. Throws `sandbox_*`, `clone_failed`, `setup_failed`, `guest_disk_full`; leaves no VM when it throws. */
export async function openWorkspace(options: WorkspaceOptions, kept: KeptSetup | null = null): Promise<Workspace> {
  const { report, timed, plan, image } = options;
  const gateway = options.openGateway('setup', plan.allow.setup);
  const spec = { id: options.id, signal: options.signal, size: plan.sandbox, ...(image && { image }), ...(kept && { layer: kept.file }) };
  const sandbox = await timed('boot', () => options.provider.boot(spec)).catch(async (error: unknown) => {
    await gateway.close();
    throw error;
  });
  const close = createClosing(sandbox, gateway, options);
  const environment = environmentOf(options);
  // Where nothing can be reached any more, the warning that this makes every Node print is all that it does.
  const unreachable = plan.allow.agent.length === 0 && plan.allow.proof.length === 0;
  const env = unreachable ? { ...environment, NODE_USE_ENV_PROXY: '0' } : environment;
  const after = withOptions(sandbox, { env, sudo: plan.sandbox.root });
  try {
    report.sandbox ??= sandbox.info;
    const node = await furnish(sandbox, gateway, options, kept);
    if (!plan.sandbox.root) await withdrawRoot(sandbox, options.signal);
    const again = { setup: plan.setup, root: plan.sandbox.root, timeoutMs: options.limits.setupTimeoutMs, signal: options.signal };
    const setUpAgain = (): Promise<Rerun> => repeatSetup(after, gateway, again);
    return { sandbox: after, gateway, node, timed, setUpAgain, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** One environment for setup, agent and proof: what the agent sees is what judges it. */
function environmentOf({ plan, surroundings, image }: WorkspaceOptions): Readonly<Record<string, string>> {
  return { ...ofImage(image), CI: 'true', ...plan.environment, ...surroundings.guestEnv };
}

/** What the image sets, with the folders of the agent's own programs in front. */
function ofImage(image: GuestImage | null): Readonly<Record<string, string>> {
  const path = image?.environment['PATH'];
  return { ...image?.environment, ...(path !== undefined && { PATH: `/home/agent/.local/bin:${path}` }) };
}

/** Way out, repository, setup: everything up to where root is taken away. The Node is null in an image of the repository's choice. */
export async function furnish(sandbox: Sandbox, gateway: Gateway, options: WorkspaceOptions, kept: KeptSetup | null = null): Promise<GuestNode | null> {
  const { timed, plan, image } = options;
  const during = withOptions(sandbox, { env: environmentOf(options), sudo: true });
  await sandbox.forward(gatewayPort, (stream) => gateway.accept(stream));
  await installCertificates(sandbox, gateway, options);
  await timed('clone', () => (kept === null ? clone(sandbox, options) : catchUp(sandbox, options, kept)));
  const quick = (image !== null || plan.node.install === null) && plan.setup.length === 0;
  return await (quick ? setUp(during, options, kept) : timed('setup', () => setUp(during, options, kept)));
}

/** The same sandbox; every command gets the guest's surroundings (proxy, certificates, registry) as environment. */
function withOptions(sandbox: Sandbox, { env, sudo }: { env: Readonly<Record<string, string>>; sudo: boolean }): Sandbox {
  return {
    id: sandbox.id,
    info: sandbox.info,
    lost: sandbox.lost,
    exec: (argv, options = {}) => sandbox.exec(argv, { sudo, ...options, env: { ...env, ...options.env } }),
    put: (path, content, options) => sandbox.put(path, content, options),
    get: (path, options) => sandbox.get(path, options),
    forward: (port, accept) => sandbox.forward(port, accept),
    dispose: () => sandbox.dispose(),
    [Symbol.asyncDispose]: () => sandbox[Symbol.asyncDispose](),
  };
}

function createClosing(sandbox: Sandbox, gateway: Gateway, options: WorkspaceOptions): () => Promise<void> {
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> =>
    options.timed('discard', async () => {
      const left = await sandbox.dispose();
      await gateway.close();
      const vm = options.id.slice(options.report.runId.length + 1);
      // One by one: as arguments of one call they could be too many.
      for (const entry of egressOf(gateway, vm)) options.report.egress.push(entry);
      const unlisted = describeUnlisted(gateway, vm);
      if (unlisted !== null) options.report.notes.push(unlisted);
      options.report.leftovers.push(...left);
    });
  return () => (closing ??= close());
}

/** By the words of whatever program it was. */
const isFull = (output: string): boolean => /ENOSPC|No space left on device/.test(output);

// One command, for each is a wait of its own.
const placeScript = 'mkdir -p "${1%/*}" && cat > "$1" && chmod 0644 "$1" && shift && exec "$@"';

async function installCertificates(sandbox: Sandbox, gateway: Gateway, { surroundings, signal }: WorkspaceOptions): Promise<void> {
  const trusted = trustFile([surroundings.caPem, await gateway.authority()]);
  if (trusted === '') return;
  const { path, argv } = surroundings.install;
  const stdin = Readable.from([Buffer.from(trusted)]);
  const result = await sandbox.exec(['sh', '-c', placeScript, 'sh', path, ...argv], { user: 'root', cwd: '/', stdin, signal, timeoutMs: 60_000 });
  if (result.ended === 'cancelled') throw new FixError('cancelled');
  const full = isFull(result.stderr);
  if (result.exitCode !== 0)
    throw new FixError(full ? 'guest_disk_full' : 'sandbox_boot', { details: { step: 'certificates', stderr: result.stderr.slice(-2000) } });
}

// One pack, its shallow boundary, one branch: no remote, no other ref, nothing to fetch from.
const unpackScript = `
set -e
git init -q --initial-branch=main .
git config user.name agent
git config user.email agent@localhost
git config gc.auto 0
git index-pack --stdin >/dev/null
`;
const checkoutScript = `
set -e
git update-ref refs/heads/main "$1"
GIT_LFS_SKIP_SMUDGE=1 git reset -q --hard
`;

// What the setup of an earlier commit left, index and history among it, gives way to the base; what git ignores stays.
const updateScript = `
set -e
rm -f .git/index.lock
export GIT_LFS_SKIP_SMUDGE=1
git symbolic-ref HEAD refs/heads/main
git update-ref refs/heads/main "$1"
git -c core.hooksPath=/dev/null -c core.fsmonitor=false reset -q --hard
git rev-list HEAD >/dev/null
rm -rf .git/logs
`;

const clone = (sandbox: Sandbox, options: WorkspaceOptions): Promise<void> => bring(sandbox, options, { unpack: unpackScript, checkout: checkoutScript });

/** From the commit of a kept setup to the base; nothing at all when that is the same. */
async function catchUp(sandbox: Sandbox, options: WorkspaceOptions, { commit }: KeptSetup): Promise<void> {
  if (commit === options.snapshot.sha) return;
  await bring(sandbox, options, { unpack: 'git index-pack --stdin >/dev/null', checkout: updateScript, have: commit });
}

interface Bringing {
  readonly unpack: string;
  readonly checkout: string;
  /** What the guest has already. */
  readonly have?: string;
}

async function bring(sandbox: Sandbox, { snapshot, limits, signal }: WorkspaceOptions, { unpack, checkout, have }: Bringing): Promise<void> {
  const pack = await snapshot.pack(limits.ancestors, signal, have);
  const run = async (step: string, argv: readonly string[], stdin?: typeof pack.stream): Promise<void> => {
    const result = await sandbox.exec(argv, { signal, timeoutMs: 600_000, ...(stdin && { stdin }) });
    if (result.exitCode === 0) return;
    throw new FixError(isFull(result.stderr) ? 'guest_disk_full' : 'clone_failed', {
      details: { step, ended: result.ended, stderr: result.stderr.slice(-2000) },
    });
  };
  await run('unpack', ['sh', '-c', unpack], pack.stream);
  if (pack.shallow.length > 0) await sandbox.put('/workspace/.git/shallow', pack.shallow.map((sha) => `${sha}\n`).join(''), { signal });
  await run('checkout', ['sh', '-c', checkout, 'sh', snapshot.sha]);
}

function describeEnding({ ended, exitCode, signal }: ExecResult): string {
  return ended === 'timeout' ? 'its time limit' : exitCode === null ? `signal ${signal}` : `exit code ${exitCode}`;
}

/** The Node that the repository asks for, then its commands; one time limit for all of it. */
async function setUp(sandbox: Sandbox, options: WorkspaceOptions, kept: KeptSetup | null): Promise<GuestNode | null> {
  const { plan, guestNodeVersion, limits, report, signal } = options;
  const deadline = performance.now() + limits.setupTimeoutMs;
  const installing = { choice: plan.node, guestVersion: guestNodeVersion, timeoutMs: limits.setupTimeoutMs, signal };
  const node = options.image === null ? (kept?.node ?? (await installNode(sandbox, installing))) : null;
  report.node ??= node?.version ?? null;
  // Both VMs of a run say the same, unless one of them could not install it.
  if (node && node.remark !== null && !report.notes.includes(node.remark)) report.notes.push(node.remark);
  const failed = kept?.again === false ? null : await runSetupCommands(sandbox, options, deadline);
  if (failed === null) return node;
  const { command, result } = failed;
  const output = `${result.stdout}\n${result.stderr}`.slice(-8000);
  report.notes.push(`The setup command ${JSON.stringify(command)} ended with ${describeEnding(result)}.`);
  throw new FixError(isFull(output) ? 'guest_disk_full' : 'setup_failed', { details: { command, ended: result.ended, exitCode: result.exitCode, output } });
}

/** The first command that fails, or null. */
async function runSetupCommands(
  sandbox: Sandbox,
  { plan, signal }: WorkspaceOptions,
  deadline: number,
): Promise<{ readonly command: string; readonly result: ExecResult } | null> {
  for (const command of plan.setup) {
    const timeoutMs = Math.max(1, Math.round(deadline - performance.now()));
    const result = await sandbox.exec(['bash', '-c', command], { signal, timeoutMs });
    if (result.ended === 'cancelled') signal.throwIfAborted();
    if (result.exitCode !== 0) return { command, result };
  }
  return null;
}
