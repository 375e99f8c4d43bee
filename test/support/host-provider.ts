/** A provider whose VMs are folders of this host behind a real sshd each: real shell, real git, no isolation. Linux and root only. */
import { createHostSandbox, createHostSshd } from './host-sshd.ts';
import type { HostSshd } from './host-sshd.ts';
import type { Provider, Sandbox } from '../../src/sandbox/sandbox.ts';

/** `onBoot` sees each id before its boot, and may throw. */
export function createHostProvider(onBoot: (id: string) => void = () => {}): Provider {
  return {
    name: 'host',
    async boot({ id }) {
      onBoot(id);
      const host = createHostSshd();
      const sandbox = renameWorkspace(await createHostSandbox(host), host);
      const dispose = async (): Promise<readonly string[]> => {
        const left = await sandbox.dispose();
        host.remove();
        return left;
      };
      return { ...sandbox, id, dispose, [Symbol.asyncDispose]: async () => void (await dispose()) };
    },
    sweep: () => Promise.resolve([]),
  };
}

/** The layout says /workspace; here it is a folder of its own. Forwards are left out: their port is one for the whole host. */
export function renameWorkspace(sandbox: Sandbox, host: HostSshd): Sandbox {
  return {
    ...sandbox,
    put: (path, content, options) => sandbox.put(path.replace(/^\/workspace(?=\/)/, host.layout.workspace), content, options),
    forward: () => Promise.resolve(),
  };
}
