/**
 * A real sshd on this host, one per call, spoken to over its standard input and output as a guest's is over a virtio
 * port. No isolation whatsoever: it is there to test the channel quickly, not to run anything in.
 */
import { execFileSync, spawn } from 'node:child_process';
import { accessSync, chmodSync, chownSync, constants, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import type { Readable, Writable } from 'node:stream';
import { pino } from 'pino';
import { FixError } from '../../src/errors.ts';
import { openChannel } from '../../src/sandbox/channel.ts';
import type { Channel } from '../../src/sandbox/channel.ts';
import type { GuestLayout } from '../../src/sandbox/exec.ts';
import { createSshKey } from '../../src/sandbox/ssh-key.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';

const sshd = '/usr/sbin/sshd';
/** Every Debian has it, and it owns nothing. */
const plainUser = 'nobody';
const plainUserId = 65_534;

/** Why a test with a host's sshd cannot run here; null when it can. */
export function whyNoSshd(): string | null {
  if (process.getuid?.() !== 0) return 'it needs root';
  if (!existsSync(sshd)) return `it needs ${sshd} (apt-get install openssh-server)`;
  try {
    accessSync('/usr/bin/cc', constants.X_OK);
    return null;
  } catch {
    return 'it needs a C compiler (apt-get install gcc libc6-dev)';
  }
}

export interface HostSshd {
  readonly layout: GuestLayout;
  readonly hostKey: Buffer;
  readonly privateKey: string;
  /** A new connection to a new sshd. */
  connect(): { readonly stream: Duplex; kill(): void };
  remove(): void;
}

export function createHostSshd(): HostSshd {
  // A fork storm in a guest leaves the host alone; here it shares the processors with us, who have to end it.
  setPriority(-20);
  const directory = mkdtempSync(join(tmpdir(), 'mayfly-sshd-'));
  chmodSync(directory, 0o755);
  const workspace = join(directory, 'workspace');
  mkdirSync(workspace);
  chownSync(workspace, plainUserId, plainUserId);
  const supervisor = join(directory, 'run');
  const source = join(import.meta.dirname, '../../src/sandbox/guest-run.c');
  execFileSync('/usr/bin/cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-static', `-DRUN_DIR="${directory}/commands"`, '-o', supervisor, source]);
  const [host, user] = [createSshKey(), createSshKey()];
  const config = writeConfig(directory, host.privateKey, `ssh-ed25519 ${user.blob.toString('base64')}`);
  const children = new Set<ReturnType<typeof spawn>>();
  return {
    // `exec`: with a shell in between, SSH would not learn of a signal.
    layout: { login: 'root', supervise: `exec ${supervisor} `, users: { agent: plainUser, root: 'root' }, workspace },
    hostKey: host.blob,
    privateKey: user.privateKey,
    connect() {
      // A mount namespace of its own, so that a test may mount.
      const child = spawn('/usr/bin/unshare', ['--mount', sshd, '-i', '-e', '-f', config], { stdio: ['pipe', 'pipe', 'inherit'] });
      children.add(child);
      const stream = joinStreams(child.stdout, child.stdin);
      return { stream, kill: () => void child.kill('SIGKILL') };
    },
    remove() {
      for (const child of children) child.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A sandbox in name only: the real channel to this host. */
export async function createHostSandbox(host: HostSshd): Promise<Sandbox> {
  const { stream, kill } = host.connect();
  const channel = await openHostChannel(host, stream);
  const lost = new AbortController();
  void channel.closed.then(() => lost.abort(new FixError('sandbox_lost')));
  const dispose = async (): Promise<readonly string[]> => {
    channel.close();
    kill();
    return [];
  };
  return {
    id: 'host',
    info: { provider: 'host', accel: 'kvm', isolation: 'emulation', networkCards: 0, restored: false, bootMs: 0 },
    lost: lost.signal,
    exec: channel.exec,
    put: channel.put,
    get: channel.get,
    forward: channel.forward,
    dispose,
    [Symbol.asyncDispose]: async () => void (await dispose()),
  };
}

/** Node documents a pair as an argument of `Duplex.from`; its types do not know it. */
function joinStreams(readable: Readable, writable: Writable): Duplex {
  const from: (pair: never) => Duplex = Duplex.from;
  return from({ readable, writable } as never);
}

export function openHostChannel(host: HostSshd, stream: Duplex, signal = AbortSignal.timeout(20_000)): Promise<Channel> {
  return openChannel({
    stream,
    privateKey: host.privateKey,
    hostKey: host.hostKey,
    signal,
    log: pino({ level: 'silent' }),
    layout: host.layout,
  });
}

function writeConfig(directory: string, hostKey: string, authorized: string): string {
  const file = join(directory, 'sshd_config');
  mkdirSync('/run/sshd', { recursive: true });
  writeFileSync(join(directory, 'host_key'), hostKey, { mode: 0o600 });
  writeFileSync(join(directory, 'authorized_keys'), authorized);
  const lines = [
    `HostKey ${directory}/host_key`,
    `AuthorizedKeysFile ${directory}/authorized_keys`,
    'PidFile none',
    'UsePAM no',
    'StrictModes no',
    'PermitRootLogin prohibit-password',
    'PasswordAuthentication no',
    'AllowTcpForwarding remote',
    'MaxSessions 100',
    'LogLevel FATAL',
    // Otherwise Debian's bash reads this host's own .bashrc before every command.
    'SetEnv SHLVL=2',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}
