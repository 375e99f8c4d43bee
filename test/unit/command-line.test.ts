import { Buffer } from 'node:buffer';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createContext } from '../../src/command-line.ts';

describe('createContext', () => {
  afterEach(() => void vi.unstubAllEnvs());

  const secretsWith = (proxy: string) => {
    vi.stubEnv('HTTPS_PROXY', proxy);
    return createContext('tool', new AbortController().signal, true).secrets;
  };

  it.each(['http://corp:p%40ss-w%2Frd@proxy.test.example:3128', 'https://corp:p%40ss-w%2Frd@proxy.test.example/'])(
    'keeps the password of the proxy out of what is written: %s',
    (proxy) => {
      const secrets = secretsWith(proxy);

      expect(secrets.scrub(`through ${proxy}`)).not.toContain('p%40ss');
      expect(secrets.scrub('corp p@ss-w/rd')).toBe('corp [secret]');
      expect(secrets.scrub(`Basic ${Buffer.from('corp:p@ss-w/rd').toString('base64')}`)).not.toContain('Y29ycDpw');
      expect(secrets.leaks('it is p@ss-w/rd')).toBe(true);
    },
  );

  it('keeps a short one out where it stands with its name', () => {
    expect(secretsWith('http://corp:s3cr@proxy.test.example').scrub(`Basic ${Buffer.from('corp:s3cr').toString('base64')}`)).toBe('Basic [secret]');
  });

  it('keeps out an address that cannot be read, and one that is half coded', () => {
    expect(secretsWith('http://corp:p#ss-word@proxy:3128').scrub('{"input":"http://corp:p#ss-word@proxy:3128"}')).toBe('{"input":"[secret]"}');
    expect(secretsWith('http://corp:100%safe-word@proxy:3128').scrub('100%safe-word')).toBe('[secret]');
  });

  it('hides nothing of a proxy without a password', () => {
    expect(secretsWith('http://proxy.test.example:3128').scrub('through http://proxy.test.example:3128')).toBe('through http://proxy.test.example:3128');
  });
});
