import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { FixError } from '../../src/errors.ts';
import { createLog, createSecrets } from '../../src/log.ts';

const token = `ghs_314159_eyJhbGciOiJSUzI1NiJ9.${'x'.repeat(480)}.sig-nature_`;

function capture(format: 'json' | 'pretty') {
  const lines: string[] = [];
  const secrets = createSecrets();
  secrets.protect(token);
  const destination = new Writable({ write: (chunk: Buffer, _encoding, done) => (lines.push(chunk.toString()), done()) });
  return { log: createLog({ level: 'trace', secrets, format }, destination), text: () => lines.join('') };
}

describe('createLog', () => {
  it.each(['json', 'pretty'] as const)('writes no live secret, wherever it stands (%s)', (format) => {
    const { log, text } = capture(format);
    const error = Object.assign(new Error(`fetch of https://x-access-token:${token}@host failed`), {
      request: { headers: { authorization: `token ${token}` } },
    });

    log.child({ bound: token }).error({ err: error, deep: { list: [`a ${token} b`] } }, `message with ${token}`);
    log.info({ basic: Buffer.from(`x-access-token:${token}`).toString('base64'), url: encodeURIComponent(token) }, 'encoded');

    expect(text()).toContain('[secret]');
    expect(text()).not.toContain(token.slice(0, 40));
    expect(text()).not.toContain(Buffer.from(`x-access-token:${token}`).toString('base64').slice(0, 60));
  });

  it('keeps of what a guest printed only how much it was', () => {
    const { log, text } = capture('json');

    log.error({ err: new FixError('setup_failed', { details: { command: 'npm ci', output: 'x'.repeat(5000) } }) }, 'run failed');

    expect(JSON.parse(text())).toMatchObject({ err: { code: 'setup_failed', details: { command: 'npm ci', output: '[5000 characters]' } } });
  });

  it('lets through what is no secret', () => {
    const { log, text } = capture('json');

    log.info({ runId: 'r00000000abcdefg' }, 'run started');

    expect(JSON.parse(text())).toMatchObject({ level: 30, runId: 'r00000000abcdefg', msg: 'run started' });
  });
});

describe('createSecrets', () => {
  it('does not take a short word for a secret', () => {
    const secrets = createSecrets();
    secrets.protect('main');

    expect(secrets.scrub('the main branch')).toBe('the main branch');
  });
});

/** How a captured agent would write it down: none may be published. */
const secret = 'sk-live-7Q2m/9ZxK+c4V8bN';
const hex = Buffer.from(secret).toString('hex');
const spellings: Readonly<Record<string, string>> = {
  plain: secret,
  base64: Buffer.from(secret).toString('base64'),
  'base64 within more': Buffer.from(`key=${secret};`).toString('base64'),
  'base64 within more, shifted': Buffer.from(`the key=${secret} it is`).toString('base64'),
  'base64 for addresses': Buffer.from(`k: ${secret}`).toString('base64url'),
  hex,
  'hex in capitals': hex.toUpperCase(),
  'hex in pairs': hex.replace(/..(?=.)/g, '$& '),
  backwards: Array.from(secret).toReversed().join(''),
  'split over lines': secret.replace(/.{5}/g, '$&\n'),
  'split by zero-width characters': Array.from(secret).join('\u200b'),
  'a sum of strings': secret.replace(/.{6}(?=.)/g, "$&' + '"),
  'percent-encoded': encodeURIComponent(secret),
  'percent-encoded, each character': hex.replace(/../g, '%$&'),
};

describe('test 22: a secret is recognised', () => {
  it.each(Object.entries(spellings))('%s', (_name, spelled) => {
    const secrets = createSecrets();
    secrets.protect(secret);

    expect(secrets.leaks(`some text ${spelled} and more`)).toBe(true);
    expect(secrets.leaks('some text and more')).toBe(false);
  });

  it('and forgotten with its token', () => {
    const secrets = createSecrets();
    secrets.protect(secret);
    secrets.forget(secret);

    expect(secrets.leaks(secret)).toBe(false);
  });
});
