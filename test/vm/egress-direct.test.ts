/** What a program in a real guest reaches without the gateway: itself. And how long the gateway waits for it and for others. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { Writable } from 'node:stream';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { describeInGuests } from '../support/gateway/in-guests.ts';
import type { Inside } from '../support/gateway/inside.ts';
import { get, listen, serveWeb, stopClock, world } from '../support/gateway/world.ts';
import type { Heard, World } from '../support/gateway/world.ts';

/** Ways that need no name and no proxy. Reads the host's addresses and ports, prints what there is and what answered. */
const probeScript = `
import itertools, json, os, socket, struct, sys
host = json.load(sys.stdin)
reached = []
def probe(what, family, kind, place, protocol=0, packet=b"x"):
    try:
        with socket.socket(family, kind, protocol) as one:
            one.settimeout(2)
            one.connect(place)
            if kind != socket.SOCK_STREAM:
                one.send(packet)
                one.recv(1)
        reached.append(what)
    except OSError:
        pass
own = socket.create_server(("127.0.0.1", 0))
probe("the guest itself", socket.AF_INET, socket.SOCK_STREAM, own.getsockname())
for address, port in itertools.product(host["addresses"], host["ports"]):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    probe(f"{address} {port}", family, socket.SOCK_STREAM, (address, port))
for address in host["addresses"]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    probe(f"{address} names", family, socket.SOCK_DGRAM, (address, 53))
    if not address.startswith("127.") and address != "::1":
        echo = struct.pack("!BBHHH", 8, 0, 0xf7fe, 0, 1)
        probe(f"{address} echo", socket.AF_INET, socket.SOCK_RAW, (address, 0), socket.IPPROTO_ICMP, echo)
        probe(f"{address} echo of a user", socket.AF_INET, socket.SOCK_DGRAM, (address, 0), socket.IPPROTO_ICMP, echo)
for cid, port in itertools.product([0, 1, 2, 3], [*host["ports"], 1024]):
    probe(f"vsock {cid} {port}", 40, socket.SOCK_STREAM, (cid, port))
try:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:
        for _, name in socket.if_nameindex():
            wire.bind((name, 0))
            if wire.getsockname()[3] != 772:
                reached.append(f"wire {name}")
except OSError:
    pass
reached += [path for path in ["/dev/vsock", "/dev/vhost-vsock", "/var/run/docker.sock"] if os.path.exists(path)]
cards = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
print(json.dumps({"cards": cards, "reached": reached}))
`;
/** Of hosts as the usual machines and containers see them: QEMU's own network, Docker's, libvirt's, AWS's, Podman's. */
const usualHosts = ['127.0.0.1', '::1', '10.0.2.2', '10.0.2.3', '169.254.1.1', '169.254.169.254', '172.17.0.1', '192.168.122.1', '192.168.127.254'];

/** Sends what it is given, and prints what comes, as it comes, until the end. */
const waitScript = `
import socket, sys
with socket.create_connection(("127.0.0.1", 3128), 110) as one:
    one.sendall(sys.stdin.buffer.read())
    while chunk := one.recv(65536):
        sys.stdout.buffer.write(chunk)
        sys.stdout.flush()
`;

/** Of tests with a guest that may be emulated. */
const patience = { timeout: 30_000 };

/** A host whose queue is full: it neither takes nor refuses a connection. */
async function serveFullQueue(): Promise<string> {
  const listening = `const server = net.createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    fs.writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  })`;
  const child = spawn(process.execPath, ['-e', listening], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  const crowd = Array.from({ length: 8 }, () => connect(Number(port), '127.0.0.1').on('error', () => {}));
  onTestFinished(() => crowd.forEach((socket) => socket.destroy()));
  await Promise.all(crowd.slice(0, 2).map((socket) => once(socket, 'connect')));
  return `full.test.example:${port.toString()}`;
}

describeInGuests('the world around', 'that looks around', (guest) => {
  const enter = async (allow: readonly string[], options: Partial<GatewayOptions> = {}): Promise<Inside & { gate: World }> => {
    const gate = await world(allow, options);
    return { ...(await guest.doorway.use(gate)), gate };
  };

  test.for(['agent', 'root'] as const)('has no card, and reaches no port, no socket and no wire of its host, as %s', async (user) => {
    await enter([]);
    const met: unknown[] = [];
    const port = await listen(
      createServer((socket) => void met.push(socket.destroy())),
      '::',
    );
    const cards = Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address));
    const stdin = JSON.stringify({ addresses: [...new Set([...usualHosts, ...cards])], ports: [port, 22, 80, 443, 3000, 6379] });

    const { stdout, stderr } = await guest.sandbox.exec(['python3', '-c', probeScript], { user, cwd: '/', stdin, timeoutMs: 100_000 });

    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({ cards: ['lo'], reached: ['the guest itself'] });
    expect(met).toEqual([]);
  });
  const waitFor = (text: string): Heard => {
    let soFar = '';
    const stdout = new Writable({
      write(chunk: Buffer, _encoding, callback) {
        soFar += chunk.toString('latin1');
        callback();
      },
    });
    const whole = async (): Promise<string> => {
      const { stderr } = await guest.sandbox.exec(['python3', '-c', waitScript], { stdin: text, stdout });
      if (stderr !== '') throw new Error(stderr);
      return soFar;
    };
    return {
      get soFar() {
        return soFar;
      },
      whole: whole(),
    };
  };
  const connectTo = (place: string): string => `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\n`;

  test('may wait for an answer as long as nothing stands still', async () => {
    const stuck = await serveWeb((_request, response) => void response.write('begun'));
    const answering = Promise.withResolvers<ServerResponse>();
    const slow = await serveWeb((_request, response) => answering.resolve(response));
    const silent = `silent.test.example:${await listen(createServer(() => {}))}`;
    const hourMs = 3_600_000;
    stopClock();
    const { gate } = await enter([stuck.host, slow.host, silent], { limits: { idleTimeoutMs: hourMs, headerTimeoutMs: hourMs } });

    const half = waitFor(get(stuck.host));
    await expect.poll(() => half.soFar, patience).toContain('begun');
    vi.advanceTimersByTime(hourMs);
    await half.whole;

    const whole = waitFor(get(slow.host));
    const response = await answering.promise;
    for (const word of ['first', 'second', 'third']) {
      response.write(word);
      await expect.poll(() => whole.soFar, patience).toContain(word);
      vi.advanceTimersByTime(0.7 * hourMs);
    }
    response.end();

    const nothing = waitFor(connectTo(silent));
    await expect.poll(() => nothing.soFar, patience).toMatch(/^HTTP\/1\.1 200 .*\r\n\r\n$/);
    vi.advanceTimersByTime(hourMs);

    expect([await half.whole, await whole.whole, await nothing.whole]).toEqual([
      expect.stringMatching(/begun\r\n$/),
      expect.stringMatching(/third\r\n0\r\n\r\n$/),
      expect.stringMatching(/^HTTP\/1\.1 200 .*\r\n\r\n$/),
    ]);
    expect(gate.gateway.ledger.map(({ decision }) => decision)).toEqual(['allowed', 'allowed', 'allowed']);
  });

  // One after the other, each within a second: those that waited as long as a gateway does without a limit of its own would not be done in time.
  test('is told when a host takes too long to be found, to be reached, or to say who it is', { timeout: 75_000 }, async () => {
    const full = await serveFullQueue();
    const mute = `secure.test.example:${await listen(createServer(() => {}))}`;
    const proxy = new URL(`http://127.0.0.1:${await listen(createServer(() => {}))}`);
    const limits = { dialTimeoutMs: 1000 };
    const lost = (): Promise<never> => new Promise(() => {});

    const unfound = [await enter(['lost.test.example'], { limits, lookup: lost }), await waitFor(connectTo('lost.test.example:443')).whole] as const;
    const unreached = [await enter([full], { limits }), await waitFor(connectTo(full)).whole] as const;
    const unheard = [
      await enter(['far.example'], { limits, upstreamProxy: proxy, lookup: async () => [] }),
      await waitFor(connectTo('far.example:443')).whole,
    ] as const;
    const unknown = await enter([`GET ${mute}/*`], { limits });
    const { output } = await unknown.run(['curl', '-sS', '--max-time', '60', '-w', ' %{http_code}', `https://${mute}/`]);

    expect([unfound, unreached, unheard].map(([, answer]) => /^HTTP\/1\.1 502 .*\((\w+)\)\./.exec(answer)?.[1])).toEqual([
      'ENOTFOUND',
      'ETIMEDOUT',
      'ETIMEDOUT',
    ]);
    expect(output).toMatch(/\(ETIMEDOUT\)\.\n 502$/);
    const lines = [unfound[0], unreached[0], unheard[0], unknown].map(({ gate }) => gate.gateway.ledger.at(-1));
    expect(lines.map((line) => line?.decision)).toEqual(['failed', 'failed', 'failed', 'failed']);
  });
});
