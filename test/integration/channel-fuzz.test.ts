/** A guest whose sshd says, well encrypted, whatever it likes: random packets, lengths that lie. It costs the guest its life, and the worker nothing. */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import ssh2 from 'ssh2';
import type { Connection } from 'ssh2';
import { expect, test } from 'vitest';
import { openChannel } from '../../src/sandbox/channel.ts';
import { createSshKey } from '../../src/sandbox/ssh-key.ts';

/** Message numbers of https://www.rfc-editor.org/rfc/rfc4250#section-4.1.2 and of extensions. */
const types = [1, 2, 3, 4, 5, 6, 7, 20, 21, 30, 31, 50, 51, 52, 53, 60, 61, 80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 192];
const lengths = [0, 1, 5, 0x7fffffff, 0x80000000, 0xffffffff];
const requests = ['exit-status', 'exit-signal', 'signal', 'keepalive@openssh.com', 'hostkeys-00@openssh.com'];
const connections = 200;
const key = createSshKey();

/** The same ones at each run: xorshift32 of https://www.jstatsoft.org/v08/i14. */
function createDice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % sides;
  };
}

function makePacket(dice: (sides: number) => number): Buffer {
  const packet = Buffer.from(Array.from({ length: 1 + dice(60) }, () => dice(256)));
  packet[0] = dice(10) === 0 ? dice(256) : (types[dice(types.length)] ?? 0);
  // Mostly of a channel that is open, and with a length that cannot be.
  if (packet.length > 5 && dice(10) < 7) packet.writeUInt32BE(dice(2), 1);
  if (packet.length > 9 && dice(10) < 6) packet.writeUInt32BE(lengths[dice(lengths.length)] ?? 0, 5);
  const name = requests[dice(requests.length)] ?? '';
  if (packet[0] === 98 && packet.length > 9 + name.length) packet.write(name, packet.writeUInt32BE(name.length, 5));
  return packet;
}

/** What ssh2 keeps to itself: a packet with any content, encrypted as all others are. */
interface Inside {
  readonly _protocol: {
    readonly _packetRW: { readonly write: { readonly allocStart: number; alloc(length: number): Buffer; finalize(packet: Buffer): Buffer } };
    readonly _cipher: { encrypt(packet: Buffer): void };
  };
}

function send(connection: Connection, payload: Buffer): void {
  const { _packetRW: packets, _cipher: cipher } = (connection as unknown as Inside)._protocol;
  const packet = packets.write.alloc(payload.length);
  payload.copy(packet, packets.write.allocStart);
  cipher.encrypt(packets.write.finalize(packet));
}

/** How a command ends whose guest answers it with such packets. */
async function ask(dice: (sides: number) => number): Promise<string> {
  const packets = Array.from({ length: 1 + dice(4) }, () => makePacket(dice));
  const server = new ssh2.Server({ hostKeys: [key.privateKey] }, (client: Connection) => {
    client.on('authentication', (context) => context.accept()).on('error', () => {});
    client.on('session', (accept) =>
      accept().on('exec', (acceptExec) => {
        acceptExec().on('error', () => {});
        for (const packet of packets) send(client, packet);
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stream = createConnection((server.address() as AddressInfo).port, '127.0.0.1');
  await once(stream, 'connect');
  server.close();
  const log = pino({ level: 'silent' });
  const channel = await openChannel({ stream, privateKey: key.privateKey, hostKey: key.blob, signal: AbortSignal.timeout(60_000), log });
  const ended = await channel.exec(['true'], { timeoutMs: 100 }).then(
    (result) => result.ended,
    (error: { code: string }) => error.code,
  );
  channel.close();
  return ended;
}

// An exception that nobody catches fails the run of the tests by itself.
test('random packets end a command, and never the worker', { timeout: 240_000 }, async () => {
  const dice = createDice(20_261_129);
  const endings = new Set<string>();
  for (let begun = 0; begun < connections; begun += 100) {
    for (const ending of await Promise.all(Array.from({ length: 100 }, () => ask(dice)))) endings.add(ending);
  }

  expect([...endings].filter((ending) => !['exited', 'timed_out', 'sandbox_lost'].includes(ending))).toEqual([]);
  expect(endings).toContain('sandbox_lost');
});
