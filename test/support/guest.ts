/** Real guests for tests: the template that `mayfly setup` built, a state directory of our own, and a look at what is left. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { pino } from 'pino';
import { loadConfig } from '../../src/config.ts';
import { findCgroups } from '../../src/sandbox/cgroup.ts';
import { whyNoGvisor } from '../../src/sandbox/choose-provider.ts';
import { findProcesses } from '../../src/sandbox/claim.ts';
import { qemuProgram } from '../../src/sandbox/machine.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import type { OciOptions } from '../../src/sandbox/oci.ts';
import type { QemuOptions } from '../../src/sandbox/qemu.ts';
import type { Provider, Sandbox } from '../../src/sandbox/sandbox.ts';
import { buildTemplate } from '../../src/sandbox/template.ts';

export type GuestOptions = QemuOptions & OciOptions;

export interface GuestHost {
  readonly options: GuestOptions;
  provider(changes?: Partial<GuestOptions>): Provider;
  boot(changes?: Partial<GuestOptions>): Promise<Sandbox>;
  /** Removes the state directory; throws when a VM was still in it. */
  close(): Promise<void>;
}

/** Why this machine cannot run guests, or null. */
export async function lacksForGuests(): Promise<string | null> {
  const qemu = await execa(qemuProgram, ['--version'], { reject: false });
  if (qemu.failed) return `${qemuProgram} is not installed`;
  return null;
}

/**
 * Why this machine cannot run guests under gVisor, or null: the probe that chooses the provider of a run says it. In
 * continuous integration it is null, so that what cannot run there fails.
 */
export async function lacksForGvisor(): Promise<string | null> {
  const lacking = await lacksForGuests();
  if (lacking !== null || process.env['CI'] !== undefined) return lacking;
  const host = await openGuestHost();
  const why = await whyNoGvisor(host.options);
  await host.close();
  return why;
}

/** Says loudly what is skipped. For `describe.skipIf` and `test.skipIf`. */
export function isSkipped(what: string, lacking: string | null): boolean {
  if (lacking !== null) process.stderr.write(`SKIPPED: ${what}, because ${lacking}\n`);
  return lacking !== null;
}

/** Builds the template unless it is there, in the directory that the configuration names. */
export async function openGuestHost(create: (options: GuestOptions) => Provider = createQemuProvider): Promise<GuestHost> {
  const config = loadConfig('tool');
  const options: GuestOptions = {
    cacheDir: config.MAYFLY_CACHE_DIR,
    stateDir: await mkdtemp(join(tmpdir(), 'mayfly-guests-')),
    memoryMib: config.MAYFLY_GUEST_MEMORY_MIB,
    vcpus: config.MAYFLY_GUEST_VCPUS,
    diskGib: config.MAYFLY_GUEST_DISK_GIB,
    maxDiskGib: config.MAYFLY_GUEST_DISK_GIB + 4,
    extraPackages: config.MAYFLY_GUEST_PACKAGES,
    kernelFile: config.MAYFLY_GUEST_KERNEL,
    uidRange: { first: config.MAYFLY_UID_FIRST, count: 1000 },
    allowUnlimited: config.MAYFLY_ALLOW_UNLIMITED_VMS,
    log: pino({ level: 'silent' }),
  };
  await buildTemplate(options, { signal: AbortSignal.timeout(600_000), onProgress: (line) => void process.stderr.write(`template: ${line}\n`) });
  const provider = (changes: Partial<GuestOptions> = {}): Provider => create({ ...options, ...changes });
  return {
    options,
    provider,
    boot: (changes) => provider(changes).boot({ id: newVmId(), signal: AbortSignal.timeout(120_000) }),
    async close() {
      const left = await readdir(join(options.stateDir, 'vms')).catch(() => []);
      await rm(options.stateDir, { recursive: true, force: true });
      if (left.length > 0) throw new Error(`VMs are left: ${left.join(', ')}`);
    },
  };
}

export function newVmId(): string {
  return `test-${randomBytes(6).toString('hex')}`;
}

/** Everything on this host that carries the VM's id: processes, control groups, directories. */
export async function tracesOf(id: string, options: QemuOptions): Promise<string[]> {
  const [processes, cgroups, names] = await Promise.all([findProcesses(id), findCgroups(id), readdir(join(options.stateDir, 'vms')).catch(() => [])]);
  return [...processes.map(String), ...cgroups, ...names.filter((name) => name.includes(id))];
}

/** Standard output of a command that must succeed. */
export async function output(sandbox: Sandbox, script: string, user: 'agent' | 'root' = 'agent'): Promise<string> {
  const result = await sandbox.exec(['bash', '-c', script], { user, cwd: '/' });
  if (result.exitCode !== 0) throw new Error(`${script}: ${JSON.stringify(result)}`);
  return result.stdout.trim();
}
