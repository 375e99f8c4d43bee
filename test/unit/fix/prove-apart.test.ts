import { expect, it } from 'vitest';
import { FixError } from '../../../src/errors.ts';
import { proveApart } from '../../../src/fix/prove-apart.ts';
import type { ProofPlace } from '../../../src/fix/prove-apart.ts';
import { captureLog } from '../../support/capture-log.ts';

it('what a guest printed before its proof is no part of the log', async () => {
  const { log, lines } = captureLog();
  const failed = new FixError('setup_failed', { details: { command: 'npm ci', output: 'guest '.repeat(1000) } });
  const place = {
    patch: { baseSha: 'a'.repeat(40), files: [] },
    test: { command: 'npm test', source: 'package.json' },
    open: () => Promise.reject(failed),
    signal: new AbortController().signal,
    log,
  } as unknown as ProofPlace;

  const proof = await proveApart(place);

  expect(proof.verdict).toBe('could_not_run');
  expect(lines.join('')).toContain('npm ci');
  expect(lines.join('')).not.toContain('guest guest');
});
