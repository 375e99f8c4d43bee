/** The part of an SSH handshake that a server sends in the clear: what it drew at random, and its host key. */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import ssh2 from 'ssh2';

export interface ServerHandshake {
  readonly cookie: string;
  readonly hostKey: string;
  /** The server's half of the key exchange. */
  readonly ephemeralKey: string;
}

/** RFC 4253, sections 6 and 7.1; RFC 5656, section 4. */
const kexInit = 20;
const kexReply = 31;

/** Does the handshake over the stream, with the algorithms that the channel asks for, and goes no further. */
export async function readServerHandshake(stream: Duplex): Promise<ServerHandshake> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const client = new ssh2.Client();
  client.on('error', () => {}); // nobody is let in: there is no key
  const done = once(client, 'handshake');
  client.connect({ sock: stream, username: 'mayfly', algorithms: { kex: ['curve25519-sha256'], serverHostKey: ['ssh-ed25519'] } });
  await done;
  const [init, reply] = readPackets(Buffer.concat(chunks));
  if (init?.[0] !== kexInit || reply?.[0] !== kexReply) throw new Error('the server did not open with a key exchange');
  const hostKey = readString(reply, 1);
  const ephemeralKey = readString(reply, 1 + 4 + hostKey.length);
  return { cookie: init.toString('hex', 1, 17), hostKey: hostKey.toString('hex'), ephemeralKey: ephemeralKey.toString('hex') };
}

/** The first two packets, after the line with the version. */
function readPackets(bytes: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = bytes.indexOf('\n') + 1; packets.length < 2;) {
    const length = bytes.readUInt32BE(at);
    packets.push(bytes.subarray(at + 5, at + 4 + length - bytes.readUInt8(at + 4)));
    at += 4 + length;
  }
  return packets;
}

function readString(packet: Buffer, at: number): Buffer {
  return packet.subarray(at + 4, at + 4 + packet.readUInt32BE(at));
}
