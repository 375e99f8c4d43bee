import { describe, expect, it } from 'vitest';
import { parseSettings } from '../../../src/settings/settings.ts';

describe('timezone and locale', () => {
  it.each(['Europe/Berlin', 'UTC', 'Etc/GMT+5', 'America/Argentina/Buenos_Aires', 'Asia/Calcutta', 'America/Port-au-Prince'])(
    'take the zone %s',
    (timezone) => {
      expect(parseSettings(`timezone: ${timezone}`)).toEqual({ settings: { timezone } });
    },
  );

  it.each(['europe/berlin', 'Europe/Nowhere', '+02:00', 'CEST-2', '../etc/passwd', 'Europe/Berlin; id', '5', ''])('do not take the zone %j', (timezone) => {
    expect(parseSettings(`timezone: ${JSON.stringify(timezone)}`)).toEqual({ problem: expect.stringContaining('timezone') });
  });

  it.each(['C.UTF-8', 'de_DE.UTF-8', 'tr_TR.UTF-8'])('take the locale %s', (locale) => {
    expect(parseSettings(`locale: ${locale}`)).toEqual({ settings: { locale } });
  });

  it.each(['de', 'de_DE', 'de-DE', 'xq_DE.UTF-8', 'de_DE.UTF-8; id', 'POSIX'])('do not take the locale %s', (locale) => {
    expect(parseSettings(`locale: "${locale}"`)).toEqual({ problem: expect.stringContaining('locale') });
  });
});
