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
