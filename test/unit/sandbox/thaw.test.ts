import { Duplex } from 'node:stream';
import ssh2 from 'ssh2';
import { expect, test } from 'vitest';
import { createSshKey } from '../../../src/sandbox/ssh-key.ts';
import { awaitReady, createIdentity, thaw, thawMessage } from '../../../src/sandbox/thaw.ts';

/** A guest that answers what it hears with these chunks. */
function guestSaying(...chunks: string[]): Duplex {
  const guest: Duplex = new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      for (const chunk of chunks) guest.push(chunk);
      done();
    },
  });
  return guest;
}

test('the message has every line that the guest expects, in its order, and ends', () => {
  const identity = createIdentity('mayfly-x');
  const lines = thawMessage(identity, 1_800_000_000_123).split('\n');
  expect(lines.map((line) => line.split(' ')[0])).toEqual([
    'mayfly-thaw',
    'time',
    'entropy',
    'hostname',
    'machine-id',
    'host-key',
    'authorized-key',
    'end',
    '',
  ]);
  expect(lines[1]).toBe('time 1800000000123');
  expect(thawMessage(identity, Date.now()).length).toBeLessThan(4096);
});

test('no two identities share anything', () => {
  const [one, other] = [createIdentity('x'), createIdentity('x')];
  for (const name of ['machineId', 'hostPrivateKey', 'clientPrivateKey', 'authorizedKey'] as const) expect(one[name]).not.toBe(other[name]);
  expect(one.entropy.equals(other.entropy)).toBe(false);
  expect(one.entropy.length).toBeGreaterThanOrEqual(64);
});

test('every key is one that ssh2 can use', () => {
  for (let count = 0; count < 500; count += 1) {
    const { privateKey, blob } = createSshKey();
    const parsed = ssh2.utils.parseKey(privateKey);
    if (parsed instanceof Error) throw parsed;
    const data = Buffer.from('data');
    const signature = parsed.sign(data);
    expect(parsed.getPublicSSH().equals(blob)).toBe(true);
    expect(Buffer.isBuffer(signature) && parsed.verify(data, signature)).toBe(true);
  }
});

test('what follows the answer stays in the stream', async () => {
  const guest = guestSaying('o', 'k\nSSH-2.0-', 'OpenSSH');
  await thaw(guest, createIdentity('x'));

  const rest: unknown[] = [];
  guest.on('data', (chunk) => rest.push(chunk));
  guest.push(null);
  await new Promise((resolve) => guest.once('end', resolve));
  expect(rest.join('')).toBe('SSH-2.0-OpenSSH');
});

test.each([
  ['an error', 'error time\n'],
  ['another word', 'ok \n'],
  ['a line without end', 'o'.repeat(1000)],
])('%s is a failed thaw', async (_, answer) => {
  await expect(thaw(guestSaying(answer), createIdentity('x'))).rejects.toMatchObject({ code: 'sandbox_thaw' });
});

test('a guest that goes away is a failed thaw, before and while it is asked', async () => {
  const gone = guestSaying();
  const asked = thaw(gone, createIdentity('x'));
  gone.destroy();
  await expect(asked).rejects.toMatchObject({ code: 'sandbox_thaw' });
  await expect(awaitReady(gone)).rejects.toMatchObject({ code: 'sandbox_boot' });
});

test('a guest that says something else than ready has not booted', async () => {
  const guest = guestSaying('panic\n');
  guest.write('x');
  await expect(awaitReady(guest)).rejects.toMatchObject({ code: 'sandbox_boot' });
});
