/** Root in the guest, for those who work in it. */
import { FixError } from '../errors.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

// The rule of the real sudo, and where the one under gVisor listens: put where nobody but root can reach them.
const withoutRootScript = `
set -e
mkdir -p -m 0700 /run/mayfly-root
for path in /etc/sudoers.d/agent /run/mayfly/sudo; do
  name=/run/mayfly-root/\${path##*/}
  if [ "$1" = take ]; then set -- "$1" "$path" "$name"; else set -- "$1" "$name" "$path"; fi
  if [ -e "$2" ]; then mv "$2" "$3"; fi
done
`;

/** Whether the agent's user may become root with sudo: in the setup commands it may, after them only where the settings keep it. */
export async function setRoot(sandbox: Sandbox, may: boolean, signal: AbortSignal): Promise<void> {
  const argv = ['sh', '-c', withoutRootScript, 'sh', may ? 'give' : 'take'];
  const result = await sandbox.exec(argv, { user: 'root', cwd: '/', signal, timeoutMs: 60_000 });
  if (result.ended === 'cancelled') signal.throwIfAborted();
  if (result.exitCode !== 0) throw new FixError('sandbox_boot', { details: { step: 'root', stderr: result.stderr.slice(-2000) } });
}
