import { describe, expect, it } from 'vitest';
import { parseHostRule } from '../../../src/gateway/host-rule.ts';
import { isHost } from '../../../src/settings/formats.ts';
import { isHostRule } from '../../../src/settings/host-rules.ts';
import { parseSettings } from '../../../src/settings/parse.ts';

describe('timezone and locale', () => {
  it.each(['Europe/Berlin', 'UTC', 'Etc/GMT+5', 'America/Argentina/Buenos_Aires', 'Asia/Calcutta', 'America/Port-au-Prince'])(
    'take the zone %s',
    (timezone) => {
      expect(parseSettings(`timezone: ${timezone}`)).toMatchObject({ file: { settings: { timezone } } });
    },
  );

  it.each(['europe/berlin', 'Europe/Nowhere', '+02:00', 'CEST-2', '../etc/passwd', 'Europe/Berlin; id', '5', ''])('do not take the zone %j', (timezone) => {
    expect(parseSettings(`timezone: ${JSON.stringify(timezone)}`)).toMatchObject({
      problems: [{ key: 'timezone', message: expect.stringContaining('time zone') }],
    });
  });

  it.each(['C.UTF-8', 'de_DE.UTF-8', 'tr_TR.UTF-8'])('take the locale %s', (locale) => {
    expect(parseSettings(`locale: ${locale}`)).toMatchObject({ file: { settings: { locale } } });
  });

  it.each(['de', 'de_DE', 'de-DE', 'xq_DE.UTF-8', 'de_DE.UTF-8; id', 'POSIX'])('do not take the locale %s', (locale) => {
    expect(parseSettings(`locale: "${locale}"`)).toMatchObject({ problems: [{ key: 'locale', message: expect.stringContaining('locale') }] });
  });
});

describe('parts of hosts', () => {
  it.each(['GET example.org', 'GET,POST *.example.org:8443', 'example.org/', 'example.org/a/b', 'GET example.org/@scope/name/*', 'example.org/*'])(
    'take %s, and so does the gateway',
    (text) => {
      expect(isHostRule(text)).toBe(true);
      expect(parseHostRule(text)).not.toBeNull();
    },
  );

  it.each([
    'get example.org',
    'TRACE example.org',
    'GET  example.org',
    'GET, POST example.org',
    'example.org/a/../b',
    'example.org//a',
    'example.org/a*',
    'example.org/*/b',
    'example.org/%61',
    'example.org/a?b',
    'example.org/a b',
    `example.org/${'a'.repeat(200)}`,
  ])('do not take %j', (text) => {
    expect(isHostRule(text)).toBe(false);
  });
});

describe('hosts', () => {
  it.each(['example.org', '*.example.org', 'example.org:8443', 'localhost', 'a_b.example', 'EXAMPLE.org', '10.0.0.1', 'x-1.example', '*.a.example:443'])(
    'take %s, and so does the gateway',
    (host) => {
      expect(isHost(host)).toBe(true);
      expect(parseHostRule(host)).not.toBeNull();
    },
  );

  it.each([
    '',
    '*',
    '*.org',
    'https://x',
    'a b',
    'a/b',
    'x:0',
    'x:99999',
    '-a.example',
    'a..b',
    '.a',
    'a.',
    '1.2.3',
    '0x7f',
    '256.1.1.1',
    '*.1.2.3.4',
    '[::1]',
    'user@x',
    'ä.example',
  ])('do not take %j', (host) => {
    expect(isHost(host)).toBe(false);
  });
});
