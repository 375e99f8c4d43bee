import { Buffer } from 'node:buffer';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createContext } from '../../src/command-line.ts';

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return null;
}

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

  it.each(['http://corp:p#ss-word@proxy:3128', 'http://corp:100%safe-ss-word@proxy:3128', 'socks5://corp:ss-word@proxy:1080', 'corp:ss-word@proxy:3128'])(
    'refuses %s in words that do not repeat it',
    (proxy) => {
      const thrown = catchError(() => secretsWith(proxy));

      expect(thrown).toMatchObject({ code: 'config_invalid' });
      expect(inspect(thrown, { depth: 10 })).toContain('HTTPS_PROXY');
      expect(inspect(thrown, { depth: 10 })).not.toContain('ss-word');
    },
  );

  it('takes a name without a password for one', () => {
    expect(secretsWith('http://t0ken-t0ken@proxy.test.example:3128').scrub('it is t0ken-t0ken')).toBe('it is [secret]');
  });

  it('hides nothing of a proxy without a password', () => {
    expect(secretsWith('http://proxy.test.example:3128').scrub('through http://proxy.test.example:3128')).toBe('through http://proxy.test.example:3128');
  });
});
