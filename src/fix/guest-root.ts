/** Root in the guest: it ends with the setup commands, unless the settings keep it. */
import { FixError } from '../errors.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

/**
 * What no command is asked to do without (`sudo` in ExecOptions) is put out of reach as well: the rule of the real sudo,
 * and where the one under gVisor listens. Then what the host's way in reads as root belongs to root alone, whatever setup
 * has opened. Prints the names of PID 1's children that are not ours: a command leaves none, so somebody meant to.
 */
const withdrawScript = `
set -e
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p -m 0700 /run/mayfly-root
for path in /etc/sudoers.d/agent /run/mayfly/sudo; do
  if [ -e "$path" ]; then mv "$path" "/run/mayfly-root/\${path##*/}"; fi
done
# The rest only in a machine of its own: such a one has got a name.
[ -e /run/mayfly/machine-id ] || exit 0
set -- / /etc /etc/passwd /etc/group /etc/nsswitch.conf /etc/ssh /etc/ssh/mayfly_sshd_config \
  /usr /usr/lib /usr/lib/mayfly /usr/lib/mayfly/* /usr/sbin /usr/sbin/sshd /run /run/mayfly
# Only in a system that came as an image.
for path in /usr/lib/mayfly-brought /usr/lib/mayfly-brought/*; do
  if [ -e "$path" ]; then set -- "$@" "$path"; fi
done
chown root:root "$@"
chmod go-w "$@"
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
  if [ "$parent" != 1 ] || [ "$pid" = "$channel" ]; then continue; fi
  case $(readlink "$directory/exe") in
    /usr/lib/mayfly/*) ;;
    *) cat "$directory/comm" ;;
  esac
done
`;

/** From here on the agent's user cannot become root. Throws `setup_failed` when something of setup is still running. */
export async function withdrawRoot(sandbox: Sandbox, signal: AbortSignal): Promise<void> {
  const result = await sandbox.exec(['sh', '-c', withdrawScript], { user: 'root', cwd: '/', signal, timeoutMs: 60_000 });
  if (result.ended === 'cancelled') signal.throwIfAborted();
  if (result.exitCode !== 0) throw new FixError('sandbox_boot', { details: { step: 'root', stderr: result.stderr.slice(-2000) } });
  const left = result.stdout.trim();
  if (left !== '') throw new FixError('setup_failed', { details: { reason: 'processes of setup are left', processes: left.slice(0, 500) } });
}
