/** What a guest itself sends to the gateway, and what it can reach without it. */
import { readSurroundings, trustFile } from '../../../src/gateway/surroundings.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import type { World } from './world.ts';

/** Sends each text (base64, one a line) over a connection of its own and prints what came back, in the same form. */
const sayScript = `
import base64, socket, sys
for line in sys.stdin:
    with socket.create_connection(("127.0.0.1", 3128), 60) as connection:
        answer = b""
        try:
            for part in line.split():
                connection.sendall(base64.b64decode(part))
                chunk = connection.recv(65536)
                answer += chunk
            while chunk:
                chunk = connection.recv(65536)
                answer += chunk
        except OSError as error:
            answer += str(error).encode()
    print(base64.b64encode(answer).decode(), flush=True)
`;

export interface Inside {
  readonly sandbox: Sandbox;
  readonly env: Readonly<Record<string, string>>;
  /** Each text over a connection of its own, one after the other; a list is sent piece by piece, each after an answer. */
  say(texts: readonly (string | readonly string[])[]): Promise<readonly string[]>;
  /** Standard output and error of a command with the guest's environment. */
  run(argv: readonly string[], env?: Readonly<Record<string, string>>): Promise<{ readonly exitCode: number | null; readonly output: string }>;
}

export interface Doorway {
  /** The gateway behind the guest's port from now on; its certificate is put in place. */
  use(gate: World, npmRegistry?: string): Promise<Inside>;
}

/** A guest has one port; which gateway is behind it may change between tests. */
export async function openDoorway(sandbox: Sandbox): Promise<Doorway> {
  let current: World | null = null;
  await sandbox.forward(3128, (stream) => (current ? current.gateway.accept(stream) : stream.destroy()));
  return {
    async use(gate, npmRegistry) {
      current = gate;
      const surroundings = await readSurroundings({ extraCaFiles: [], npmRegistry: npmRegistry ?? null, caFolders: [] });
      const { path, argv } = surroundings.install;
      await sandbox.put(path, trustFile([await gate.gateway.authority()]), { user: 'root', mode: 0o644 });
      const installed = await sandbox.exec(argv, { user: 'root', cwd: '/' });
      if (installed.exitCode !== 0) throw new Error(installed.stderr);
      const env = surroundings.guestEnv;
      return {
        sandbox,
        env,
        async say(texts) {
          const lines = texts.map((text) => (typeof text === 'string' ? [text] : text).map((part) => Buffer.from(part, 'latin1').toString('base64')).join(' '));
          const { stdout, stderr, exitCode } = await sandbox.exec(['python3', '-c', sayScript], { stdin: `${lines.join('\n')}\n`, timeoutMs: 110_000 });
          if (exitCode !== 0) throw new Error(stderr);
          return stdout
            .trimEnd()
            .split('\n')
            .map((line) => Buffer.from(line, 'base64').toString('latin1'));
        },
        async run(command, more = {}) {
          const { exitCode, stdout, stderr } = await sandbox.exec(command, { env: { ...env, ...more }, timeoutMs: 110_000 });
          return { exitCode, output: `${stdout}${stderr}` };
        },
      };
    },
  };
}
