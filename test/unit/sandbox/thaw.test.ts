import ssh2 from 'ssh2';
import { describe, expect, it } from 'vitest';
import { createIdentity, thawMessage } from '../../../src/sandbox/thaw.ts';

describe('createIdentity', () => {
  // ssh2 writes about one ed25519 key in two hundred in a form that nobody can read: https://github.com/mscdex/ssh2/issues/1390
  it('makes keys that can always be read', () => {
    const unreadable = Array.from({ length: 1500 }, () => createIdentity('name'))
      .flatMap((identity) => [identity.hostPrivateKey, identity.clientPrivateKey])
      .filter((key) => ssh2.utils.parseKey(key) instanceof Error);

    expect(unreadable).toHaveLength(0);
  });

  it('gives each machine its own', () => {
    const [one, two] = [createIdentity('a'), createIdentity('a')];

    expect(one.machineId).not.toBe(two.machineId);
    expect(one.entropy.equals(two.entropy)).toBe(false);
    expect(one.hostKey.equals(two.hostKey)).toBe(false);
    expect(one.authorizedKey).not.toBe(two.authorizedKey);
  });
});

describe('thawMessage', () => {
  it('is a bounded list of lines that ends with end', () => {
    const message = thawMessage(createIdentity('mayfly-x'), 1_700_000_000_000);

    expect(message.split('\n').map((line) => line.split(' ')[0])).toEqual(['mayfly-thaw', 'time', 'entropy', 'hostname', 'machine-id', 'host-key', 'authorized-key', 'end', '']);
    expect(message).toContain('time 1700000000000\n');
  });
});
