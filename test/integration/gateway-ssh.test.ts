/** The gateway where it belongs: behind a reverse forward of the real SSH channel, with a real sshd on the other side. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { createHostSandbox, createHostSshd, whyNoSshd } from '../support/host-sshd.ts';
import type { HostSshd } from '../support/host-sshd.ts';
import { serveWeb, world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';
import { newPort } from '../support/sandbox-contract/forwards.ts';

const skipped = whyNoSshd();
if (skipped !== null) console.warn(`skipped: the gateway over SSH, since ${skipped}`);

describe.skipIf(skipped !== null)('the gateway behind an SSH forward', () => {
  let host: HostSshd;
  beforeAll(() => {
    host = createHostSshd();
  });
  afterAll(() => host.remove());

  async function open(allow: readonly string[]): Promise<{ guest: Sandbox; gate: World; curl: (...argv: readonly string[]) => Promise<string> }> {
    const gate = await world(allow);
    const guest = await createHostSandbox(host);
    onTestFinished(async () => void (await guest.dispose()));
    const port = newPort();
    await guest.forward(port, (stream) => gate.gateway.accept(stream));
    const proxy = `http://127.0.0.1:${port}`;
    const curl = async (...argv: readonly string[]): Promise<string> => {
      const { stdout, stderr } = await guest.exec(['curl', '-sS', '--max-time', '20', '--proxy', proxy, '--noproxy', '', ...argv], {
        cwd: '/',
        timeoutMs: 25_000,
      });
      return stdout + stderr;
    };
    return { guest, gate, curl };
  }

  it('carries a plain request, a tunnel and 20 MiB', async () => {
    const size = 20 * 2 ** 20;
    const web = await serveWeb((request, response) => (request.url === '/large' ? response.end(Buffer.alloc(size)) : response.end('hello')));
    const { curl, gate } = await open([web.host]);

    expect(await curl(`http://${web.host}/`)).toBe('hello');
    expect(await curl('--proxytunnel', `http://${web.host}/`)).toBe('hello');
    expect(await curl('-o', '/dev/null', '-w', '%{size_download}', `http://${web.host}/large`)).toBe(String(size));
    expect(await curl('--proxytunnel', '-o', '/dev/null', '-w', '%{size_download}', `http://${web.host}/large`)).toBe(String(size));
    expect(gate.gateway.ledger.map(({ method, decision }) => `${method} ${decision}`)).toEqual([
      'GET allowed',
      'CONNECT allowed',
      'GET allowed',
      'CONNECT allowed',
    ]);
  });

  it('tells the guest why, even while it is still sending', async () => {
    const { curl, guest } = await open([]);
    await guest.exec(['sh', '-c', 'head -c 8388608 /dev/zero > /tmp/mayfly-upload && chmod 644 /tmp/mayfly-upload']);

    const answer = await curl('-H', 'Expect:', '--data-binary', '@/tmp/mayfly-upload', 'http://example.org/');

    await guest.exec(['rm', '-f', '/tmp/mayfly-upload']);
    expect(answer).toContain('mayfly: example.org is not on the list of this phase (setup). To allow it, add it to the test.');
  });

  it('serves 40 requests at once', async () => {
    const web = await serveWeb();
    const { curl } = await open([web.host]);

    const urls = Array.from({ length: 40 }, (_, at) => `http://${web.host}/${at}`);
    const answer = await curl('--parallel', '--parallel-immediate', '--parallel-max', '40', ...urls);

    expect(answer.match(/hello/g)).toHaveLength(40);
    expect(web.seen).toHaveLength(40);
  });

  it('outlives the guest', async () => {
    const web = await serveWeb((_request, response) => void response.write('begun'));
    const { curl, guest, gate } = await open([web.host]);
    const asking = curl(`http://${web.host}/`).catch(() => 'lost');
    await expect.poll(() => web.seen.length).toBe(1);

    await guest.dispose();
    await asking;

    await expect.poll(() => web.seen[0]?.destroyed || web.seen[0]?.socket.destroyed).toBe(true);
    expect(gate.gateway.ledger).toHaveLength(1);
  });
});
