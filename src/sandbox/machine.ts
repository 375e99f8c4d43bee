/** One QEMU process: started as its own user, spoken to over inherited sockets. */
import { Duplex } from 'node:stream';
import { startHostProcess } from './host-process.ts';
import type { HostProcess } from './host-process.ts';
import { inherited } from './qemu-arguments.ts';

export const qemuProgram = 'qemu-system-x86_64';

export interface MachineOptions {
  readonly argv: readonly string[];
  /** The user it becomes; null keeps ours. */
  readonly uid: number | null;
  /** Group that may open /dev/kvm, when that is needed. */
  readonly gid: number | null;
  readonly cgroups: readonly string[];
  /** Descriptors of files that only root may open, in the order of `nameOfFile`. */
  readonly files: readonly number[];
}

export interface Machine extends HostProcess {
  readonly monitor: Duplex;
  /** The guest's virtio-serial ports, as one stream. */
  readonly channel: Duplex;
  /** Device state goes out here when a template is saved, and in when it is restored. */
  readonly state: Duplex;
}

export function startMachine(options: MachineOptions): Machine {
  const argv = ['setpriv', ...privileges(options), qemuProgram, ...options.argv];
  const { console, monitor, toGuest, fromGuest, state } = inherited;
  const started = startHostProcess({ argv, cgroups: options.cgroups, sockets: Object.keys(inherited).length, consoles: [console], files: options.files });
  const channel = joinPorts(started.socket(toGuest), started.socket(fromGuest));
  return { ...started, monitor: started.socket(monitor), channel, state: started.socket(state) };
}

function privileges(options: MachineOptions): string[] {
  const always = ['--no-new-privs', '--pdeathsig=KILL'];
  if (options.uid === null) return always;
  const groups = options.gid === null ? ['--clear-groups'] : [`--groups=${options.gid}`];
  return [...always, `--reuid=${options.uid}`, `--regid=${options.uid}`, ...groups, '--inh-caps=-all', '--bounding-set=-all'];
}

/** One stream of two. What the guest said is read to its end before the stream closes. */
function joinPorts(toGuest: Duplex, fromGuest: Duplex): Duplex {
  const joined = new Duplex({
    allowHalfOpen: false,
    read: () => void fromGuest.resume(),
    write: (chunk, _encoding, callback) => void toGuest.write(chunk, callback),
    final: (callback) => void toGuest.end(() => callback()),
    destroy(error, callback) {
      toGuest.destroy();
      fromGuest.destroy();
      callback(error);
    },
  });
  joined.on('error', () => {}); // what matters is that it closes
  fromGuest.on('data', (chunk) => {
    if (!joined.push(chunk)) fromGuest.pause();
  });
  fromGuest.once('close', () => joined.push(null));
  return joined;
}
