/** The hidden tests' verdict, on VMs that are folders of this host. */
import { silentOperator } from '../../src/settings/operator.ts';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Patch } from '../../src/job.ts';
import { createClosedGateway } from '../support/gateway/closed-gateway.ts';
import type { Case } from '../eval/case.ts';
import { judgeCase, judgePatch } from '../eval/judge.ts';
import type { HiddenVerdict } from '../eval/judge.ts';
import { prepareCase } from '../eval/prepare.ts';
import { createEvalWorld } from '../support/eval-case.ts';
import type { EvalWorld } from '../support/eval-case.ts';
import { createHostProvider } from '../support/host-provider.ts';
import { whyNoSshd } from '../support/host-sshd.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: the judge of the eval was not tested: ${reason}\n`);

const patchOf = (files: Readonly<Record<string, string>>): Patch => ({
  baseSha: '',
  files: Object.entries(files).map(([path, text]) => ({ path, change: { kind: 'write', mode: '100644', content: Buffer.from(text) } })),
});
const right = { 'greet.sh': 'printf "Hello, %s!\\n" "$1"\n' };

describe.skipIf(reason)('the hidden tests', () => {
  let world: EvalWorld;
  let boots: number;
  beforeEach(() => {
    world = createEvalWorld([]);
    boots = 0;
  });
  afterEach(() => world[Symbol.dispose]());

  async function ask(patch: Patch | null, change: Partial<Case> = {}): Promise<HiddenVerdict> {
    const { signal } = new AbortController();
    const prepared = await prepareCase({ ...world.of, ...change }, { repos: world.repos, directory: world.path, environment: {}, signal });
    const tools = {
      provider: createHostProvider(() => void (boots += 1)),
      openGateway: createClosedGateway,
      surroundings: { caPem: '', guestEnv: {}, registryHosts: [], install: { path: '', argv: [] } },
      guestNodeVersion: '26.10.0',
      operator: silentOperator,
      limits: { setupTimeoutMs: 20_000, proofTimeoutMs: 20_000, ancestors: 50 },
    };
    const options = { tools, onEvent: () => {}, signal, log: pino({ level: 'silent' }) };
    const before = await judgeCase(prepared, options);
    return patch === null ? before : await judgePatch(prepared, { patch, before }, options);
  }

  test('pass on a right patch, whatever it did to them', async () => {
    const verdict = await ask(patchOf({ ...right, 'test/greet.sh': 'false\n' }));

    expect(verdict).toMatchObject({ passes: true, broken: null, base: { exitCode: 1 }, patched: { exitCode: 0 }, fixed: { exitCode: 0 } });
    expect(boots).toBe(2);
  });

  test('fail on a wrong patch, in another VM than that of the known fix', async () => {
    const verdict = await ask(patchOf({ 'greet.sh': 'echo "Hello, ada!"\n' }));

    expect(verdict).toMatchObject({ passes: false, broken: null, patched: { exitCode: 1 }, fixed: { exitCode: 0 } });
    expect(boots).toBe(2);
  });

  test('are run as the base says, not as the patch says', async () => {
    const verdict = await ask(patchOf({ '.mocharc.sh': 'exit 0\n' }), { test: 'if [ -e .mocharc.sh ]; then . ./.mocharc.sh; fi; sh test/greet.sh' });

    expect(verdict).toMatchObject({ passes: false, broken: null });
  });

  test.each([
    ['pass without any patch', { hiddenTests: ['README.md'] }, 'its hidden tests pass without any patch'],
    ['cannot be run', { test: 'no-such-program' }, 'without any patch, the command or something that it calls was not found (exit code 127)'],
    ['fail with the known fix', { fixTouches: ['README.md'] }, 'its hidden tests do not pass with the known fix'],
  ] as const)('that %s make the case a broken one', async (_what, change, broken) => {
    expect(await ask(null, change as Partial<Case>)).toMatchObject({ broken, passes: false, patched: null });
  });
});
