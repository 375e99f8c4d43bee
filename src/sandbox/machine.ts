/** One QEMU process: started as its own user, spoken to over inherited sockets. */
import type { Duplex } from 'node:stream';
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
}

export interface Machine extends HostProcess {
  readonly monitor: Duplex;
  /** The guest's virtio-serial port. */
  readonly channel: Duplex;
  /** Device state goes out here when a template is saved, and in when it is restored. */
  readonly state: Duplex;
}

export function startMachine(options: MachineOptions): Machine {
  const argv = ['setpriv', ...privileges(options), qemuProgram, ...options.argv];
  const { console, monitor, channel, state } = inherited;
  const started = startHostProcess({ argv, cgroups: options.cgroups, sockets: Object.keys(inherited).length, consoles: [console] });
  return { ...started, monitor: started.socket(monitor), channel: started.socket(channel), state: started.socket(state) };
}

function privileges(options: MachineOptions): string[] {
  const always = ['--no-new-privs', '--pdeathsig=KILL'];
  if (options.uid === null) return always;
  const groups = options.gid === null ? ['--clear-groups'] : [`--groups=${options.gid}`];
  return [...always, `--reuid=${options.uid}`, `--regid=${options.uid}`, ...groups, '--inh-caps=-all', '--bounding-set=-all'];
}
