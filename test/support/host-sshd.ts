/**
 * The sshd and the programs of the guest template as processes of this host, one sshd per call, spoken to over its
 * standard input and output as a guest's is over its port. No isolation whatsoever: it is there to test the channel
 * and what goes over it quickly, with the folders of both sides at hand, not to run anything in.
 */
import { spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import type { Readable, Writable } from 'node:stream';
import { pino } from 'pino';
import { FixError } from '../../src/errors.ts';
import { openChannel } from '../../src/sandbox/channel.ts';
import type { Channel } from '../../src/sandbox/channel.ts';
import { templateLayout } from '../../src/sandbox/exec.ts';
import type { GuestLayout } from '../../src/sandbox/exec.ts';
import { createSshKey } from '../../src/sandbox/ssh-key.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { endsWithUs } from './ends-with-us.ts';
import { templateRootfs } from './template.ts';

/** The template's user of that name. */
const agentId = 1000;

/** Why a test with the guest's sshd cannot run here; null when it can. */
export function whyNoSshd(): string | null {
  if (process.getuid?.() !== 0) return 'it needs root';
  return templateRootfs === undefined ? 'it needs the guest template (npx mayfly setup)' : null;
}

/**
 * $1 the root filesystem, $2 the folder that both sides see under the same name, $3 the configuration. In a mount namespace
 * of its own, where the template is read-only, and where a test may mount. The rest of /tmp and the rules of sudo are the
 * guest's, and go with it.
 */
const chrootScript = `
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount --rbind /dev "$1/dev"
mount --rbind /proc "$1/proc"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mkdir "$1$2"
mount --bind "$2" "$1$2"
mount -t tmpfs -o mode=0755 tmpfs "$1/run"
mkdir "$1/run/sshd" "$1/run/mayfly"
rule="$(cat "$1/etc/sudoers.d/agent")"
mount -t tmpfs -o mode=0750 tmpfs "$1/etc/sudoers.d"
(umask 0227 && echo "$rule" > "$1/etc/sudoers.d/agent")
exec chroot "$1" /usr/sbin/sshd -i -e -f "$3"`;

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
  const directory = mkdtempSync('/tmp/mayfly-sshd-');
  chmodSync(directory, 0o755);
  const workspace = join(directory, 'workspace');
  mkdirSync(workspace);
  chownSync(workspace, agentId, agentId);
  const [host, user] = [createSshKey(), createSshKey()];
  const file = writeConfig(directory, host.privateKey, `ssh-ed25519 ${user.blob.toString('base64')}`);
  const children = new Set<ReturnType<typeof spawn>>();
  return {
    layout: { ...templateLayout, workspace },
    hostKey: host.blob,
    privateKey: user.privateKey,
    connect() {
      const child = spawn(...endsWithUs('unshare', ['--mount', 'sh', '-c', chrootScript, 'sshd', templateRootfs ?? '', directory, file]), {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
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
    info: { provider: 'host', accel: 'kvm', isolation: 'emulation', networkCards: 0, restored: false, pooled: false, bootMs: 0 },
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
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}
