/** The channel when the other side is dead, hostile or somebody else. Real sshd on this host where one is enough; ssh2's server where it must lie. */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import type { AddressInfo } from 'node:net';
import { duplexPair, Readable, Writable } from 'node:stream';
import type { Duplex } from 'node:stream';
import { pino } from 'pino';
import ssh2 from 'ssh2';
import type { Connection, ServerChannel } from 'ssh2';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { openChannel } from '../../src/sandbox/channel.ts';
import type { Channel } from '../../src/sandbox/channel.ts';
import { createSshKey } from '../../src/sandbox/ssh-key.ts';
import { createHostSshd, openHostChannel, whyNoSshd } from '../support/host-sshd.ts';
import type { HostSshd } from '../support/host-sshd.ts';

const lost = { code: 'sandbox_lost' };
const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: the channel over a host sshd was not tested: ${reason}\n`);

describe.skipIf(reason)('a channel to a real sshd', () => {
  let host: HostSshd;
  let connection: ReturnType<HostSshd['connect']>;
  let channel: Channel | undefined;
  beforeAll(() => {
    host = createHostSshd();
  });
  afterEach(() => {
    channel?.close();
    connection.kill();
  });
  afterAll(() => host.remove());
  const open = async (): Promise<Channel> => {
    connection = host.connect();
    channel = await openHostChannel(host, connection.stream);
    return channel;
  };

  test('refuses a guest with another host key', async () => {
    connection = host.connect();
    const other = Buffer.from(host.hostKey);
    other.writeUInt8(other.readUInt8(40) ^ 1, 40);

    await expect(openHostChannel({ ...host, hostKey: other }, connection.stream)).rejects.toMatchObject(lost);
  });

  test('says so when the guest refuses our key', async () => {
    connection = host.connect();

    const opening = openHostChannel({ ...host, privateKey: createSshKey().privateKey }, connection.stream);

    await expect(opening).rejects.toMatchObject(lost);
  });

  test('a key that is none is a failure, not a crash', async () => {
    connection = host.connect();

    await expect(openHostChannel({ ...host, privateKey: 'not a key' }, connection.stream)).rejects.toMatchObject(lost);
  });

  test('every pending call ends when the guest dies, and so does what they were given', async () => {
    const guest = await open();
    const sink = new Writable({ write: () => {} });
    const source = new Readable({ read: () => {} });
    const begun = Promise.withResolvers<void>();
    const noise = new Writable({ write: (_chunk, _encoding, callback) => (begun.resolve(), callback()) });
    const calls = [
      guest.exec(['sleep', '100']),
      guest.exec(['cat'], { stdin: source, stdout: sink }),
      guest.put('/tmp/never', source),
      guest.exec(['yes'], { stdout: noise }),
    ];
    const settled = Promise.allSettled(calls);

    await begun.promise;
    connection.kill();

    for (const result of await settled) expect(result).toMatchObject({ status: 'rejected', reason: lost });
    await guest.closed;
    expect([sink.destroyed, source.destroyed, noise.destroyed]).toEqual([true, true, true]);
    await expect(guest.exec(['true'])).rejects.toMatchObject(lost);
  });

  test('forwarded connections end with the guest', async () => {
    const guest = await open();
    const port = 20_000 + (process.pid % 10_000);
    const accepted = Promise.withResolvers<Duplex>();
    await guest.forward(port, accepted.resolve);
    const client = guest.exec(['bash', '-c', `cat < /dev/tcp/127.0.0.1/${port}`]).catch((thrown: unknown) => thrown);
    const closed = once(await accepted.promise, 'close');

    connection.kill();

    await closed;
    expect(await client).toMatchObject(lost);
  });

  test('a port that cannot be had is a failure', async () => {
    const guest = await open();
    const port = 32_000 + (process.pid % 10_000);
    await guest.forward(port, () => {});

    await expect(guest.forward(port, () => {})).rejects.toMatchObject({ code: 'internal' });
  });

  const killSupervisor = 'above=$PPID; kill -9 $above; while kill -0 $above; do sleep 0.01; done';

  test.each([
    ['and holds its outputs', `echo $$; ${killSupervisor}; echo killed; sleep 60`],
    ['and lets its outputs go', `echo $$; exec <&- >&- 2>&-; ${killSupervisor}; sleep 60`],
  ])('a command that kills its supervisor %s costs the guest its life', async (_name, script) => {
    const guest = await open();
    const controller = new AbortController();
    let said = '';
    const sink = new Writable({
      write(chunk: Buffer, _encoding, callback) {
        said += chunk.toString();
        // A session whose outputs are held does not end by itself.
        if (said.includes('killed')) controller.abort();
        callback();
      },
    });

    const call = guest.exec(['sh', '-c', script], { user: 'root', stdout: sink, signal: controller.signal });

    await expect(call).rejects.toMatchObject({ ...lost, details: { why: 'the supervisor of a command was killed' } });
    const pid = Number.parseInt(said, 10);
    expect(pid).toBeGreaterThan(0);
    // What is left is in a guest that is thrown away; here it is on this host.
    const left = await (await open()).exec(['pkill', '-KILL', '-s', String(pid)], { user: 'root' });
    expect(left).toMatchObject({ exitCode: 0 });
  });
});

describe('a channel to a hostile server', () => {
  const key = createSshKey();
  const clients: Channel[] = [];
  afterEach(() => {
    vi.useRealTimers();
    for (const client of clients.splice(0)) client.close();
  });

  /** `run` is given each session that a command line was sent to; without it no command line is answered. A session may be refused. */
  async function connectTo(run: ((session: ServerChannel, commandLine: string) => void) | null, refuses = (): boolean => false): Promise<Channel> {
    const server = new ssh2.Server({ hostKeys: [key.privateKey] }, (client: Connection) => {
      client.on('authentication', (context) => context.accept());
      client.on('error', () => {});
      client.on('session', (accept, reject) => {
        if (refuses()) return reject();
        return accept().on('exec', (acceptExec, _reject, info) => run?.(acceptExec(), info.command));
      });
    });
    // Not a duplexPair: it answers within the write, which ssh2 does not expect.
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const ours = createConnection(port, '127.0.0.1');
    await once(ours, 'connect');
    server.close();
    const channel = await openChannel({
      stream: ours,
      privateKey: key.privateKey,
      hostKey: key.blob,
      signal: AbortSignal.timeout(10_000),
      log: pino({ level: 'silent' }),
    });
    clients.push(channel);
    return channel;
  }

  test('nothing from outside is in the command line', async () => {
    const seen = Promise.withResolvers<string>();
    const guest = await connectTo((session, commandLine) => {
      seen.resolve(commandLine);
      session.exit(0);
      session.end();
    });

    await guest.exec(['echo', '$(id)'], { cwd: '/tmp/`id`', env: { A: "';id" } });

    expect(await seen.promise).toMatch(/^[0-9a-f]{16}$/);
  });

  test('a guest so busy that it refuses sessions for a while is not lost', async () => {
    let asked = 0;
    let until = 0;
    const refuses = (): boolean => {
      asked += 1;
      until ||= performance.now() + 6000;
      return performance.now() < until;
    };
    const end = (session: ServerChannel): void => {
      session.exit(0);
      session.end();
    };
    const guest = await connectTo(end, refuses);

    expect(await guest.exec(['true'])).toMatchObject({ ended: 'exited', exitCode: 0 });
    // Not as often as it can, which would keep it busy.
    expect(asked).toBeLessThan(40);
  });

  test('a guest that sends past its window is cut off', async () => {
    const guest = await connectTo((session) => {
      Object.assign((session as unknown as { outgoing: object }).outgoing, { window: Number.MAX_SAFE_INTEGER });
      // Odd packets: ssh2 drops what comes at a window of exactly nothing, and lets pass what comes below it.
      for (let packet = 0; packet < 2000; packet += 1) session.write(Buffer.alloc(30_001));
    });
    const held = new Writable({ highWaterMark: 1, write: () => {} });

    await expect(guest.exec(['true'], { stdout: held })).rejects.toMatchObject({ ...lost, details: { why: 'the guest sent past its window' } });
  });

  test('a session that ends without a status is a lost guest', async () => {
    const guest = await connectTo((session) => session.end());

    await expect(guest.exec(['true'])).rejects.toMatchObject(lost);
  });

  test.each([
    ['does not end a command', true],
    ['hangs, and grants no session,', false],
  ])('a guest that %s is lost 5 s after the time limit', async (_name, grants) => {
    const granted = Promise.withResolvers<void>();
    const guest = await connectTo(grants ? (session) => (granted.resolve(), void session.resume()) : null);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const ends: unknown[] = [];
    const command = guest.exec(['true'], { timeoutMs: 1000 }).catch((thrown: unknown) => ends.push(thrown));
    if (grants) await granted.promise;

    await vi.advanceTimersByTimeAsync(5_999);
    expect(ends).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    await command;

    expect(ends).toEqual([expect.objectContaining({ ...lost, details: { why: 'the guest does not end a command' } })]);
  });

  test('a server that says nothing is given up when the caller gives up', async () => {
    const [ours] = duplexPair();
    const opening = openChannel({
      stream: ours,
      privateKey: key.privateKey,
      hostKey: Buffer.alloc(0),
      signal: AbortSignal.timeout(50),
      log: pino({ level: 'silent' }),
    });

    await expect(opening).rejects.toMatchObject({ code: 'cancelled' });
    expect(ours.destroyed).toBe(true);
  });
});
