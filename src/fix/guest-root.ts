/** Root in the guest: it ends with the setup commands, unless the settings keep it. */
import { FixError } from '../errors.ts';
import { providerNames } from '../job.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

/**
 * What no command is asked to do without (`sudo` in ExecOptions) is put out of reach as well: the rule of the real sudo,
 * and where the one under gVisor listens. Then what the host's way in reads as root belongs to root alone, whatever setup
 * has opened, and so does what the machine is made of: its devices, and the programs that the kernel starts as root.
 * Prints the names of the processes that are left, children of PID 1 or of the kernel: a command leaves none, so somebody
 * meant to. What kind of guest it is in is its argument, for here setup has had its way with every file.
 */
const withdrawScript = `
set -e
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p -m 0700 /run/mayfly-root
for path in /etc/sudoers.d/agent /run/mayfly/sudo; do
  if [ -e "$path" ]; then mv "$path" "/run/mayfly-root/\${path##*/}"; fi
done
kind=$1
[ "$kind" != folder ] || exit 0
set -- / /etc /etc/passwd /etc/group /etc/nsswitch.conf /etc/ssh /etc/ssh/mayfly_sshd_config \
  /usr /usr/lib /usr/lib/mayfly /usr/lib/mayfly/* /usr/sbin /usr/sbin/sshd /run /run/mayfly
# Only in a system that came as an image.
for path in /usr/lib/mayfly-brought /usr/lib/mayfly-brought/*; do
  if [ -e "$path" ]; then set -- "$@" "$path"; fi
done
chown root:root "$@"
chmod go-w "$@"
for path in /dev/vd* /dev/vport* /dev/hvc* /dev/mem /dev/port; do
  if [ -e "$path" ]; then
    chown root:root "$path"
    chmod 0600 "$path"
  fi
done
# A node that setup made is as good as the one in /dev. An image may lack these programs; gVisor has no such devices.
if [ "$kind" = machine ] && command -v find > /dev/null; then
  find /dev -xdev -type b -exec chown root:root {} + -exec chmod 0600 {} +
fi
if [ "$kind" = machine ] && command -v mount > /dev/null; then
  while read -r _ target _ options _; do
    case ",$options," in *,nodev,*) continue ;; esac
    case $target in /dev | /dev/pts) continue ;; esac
    mount -o remount,nodev "$(printf %b "$target")"
  done < /proc/mounts
fi
# An empty line is what it takes to empty one; under gVisor there may be none, or one that is never read.
put_back() {
  [ -e "$1" ] || return 0
  { read -r line < "$1"; } 2> /dev/null || line=
  if [ "$line" != "$2" ]; then echo "$2" > "$1"; fi
}
put_back /proc/sys/kernel/core_pattern core
put_back /proc/sys/kernel/modprobe ''
put_back /sys/kernel/uevent_helper ''
# Its name, in parentheses, may hold anything.
read_parent() {
  parent=
  { read -r line < "/proc/$1/stat"; } 2> /dev/null || return 0
  line=\${line##*) }
  line=\${line#* }
  parent=\${line%% *}
}
channel=$$
read_parent $$
while [ "$parent" -gt 1 ]; do
  channel=$parent
  read_parent "$channel"
done
for directory in /proc/[0-9]*; do
  pid=\${directory#/proc/}
  read_parent "$pid"
  if [ -z "$parent" ] || [ "$parent" = 0 ] || [ "$pid" = "$channel" ]; then continue; fi
  # Who of the kernel is, has no program: neither the parent of one that it started, nor its own threads.
  if [ "$parent" != 1 ]; then
    if readlink "/proc/$parent/exe" > /dev/null || ! readlink "$directory/exe" > /dev/null; then continue; fi
    cat "$directory/comm" || true
    continue
  fi
  case $(readlink "$directory/exe") in
    /usr/lib/mayfly/*) ;;
    *) cat "$directory/comm" ;;
  esac
done
`;

/** From here on the agent's user cannot become root. Throws `setup_failed` when something of setup is still running. */
export async function withdrawRoot(sandbox: Sandbox, signal: AbortSignal): Promise<void> {
  // A folder of the host, as tests have it, is no guest.
  const isGuest = providerNames.some((name) => name === sandbox.info.provider);
  const machine = sandbox.info.isolation === 'syscall' ? 'container' : 'machine';
  const argv = ['sh', '-c', withdrawScript, 'withdraw-root', isGuest ? machine : 'folder'];
  const result = await sandbox.exec(argv, { user: 'root', cwd: '/', signal, timeoutMs: 60_000 });
  if (result.ended === 'cancelled') signal.throwIfAborted();
  if (result.exitCode !== 0) throw new FixError('sandbox_boot', { details: { step: 'root', stderr: result.stderr.slice(-2000) } });
  // A process without a name is an empty line.
  if (result.stdout === '') return;
  throw new FixError('setup_failed', { details: { reason: 'processes of setup are left', processes: result.stdout.trim().slice(0, 500) } });
}
