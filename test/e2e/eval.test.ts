/** `npm run eval` as it is called, on cases of our own: the model is scripted; runs, proofs and hidden tests are real. */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { expect, it } from 'vitest';
import { createEvalWorld } from '../support/eval-case.ts';
import { startScriptedEndpoint } from '../support/scripted-endpoint.ts';
import type { ScriptedReply } from '../support/scripted-endpoint.ts';

const program = fileURLToPath(new URL('../eval/eval.ts', import.meta.url));

const write = (path: string, text: string): string => `printf '%s\\n' '${text}' > ${path}`;
const bash = (...commands: string[]): ScriptedReply => ({ tools: [{ name: 'bash', input: { command: commands.join('; ') } }] });
const submit: ScriptedReply = { tools: [{ name: 'submit', input: { summary: 'Done.', files: [] } }] };

/** In the order of the cases. */
const replies: Readonly<Record<string, readonly ScriptedReply[]>> = {
  'a-right': [
    bash('git rev-list --all --count', write('greet.sh', 'echo "Hello, $1!"'), write('test/eve.sh', 'test "$(sh greet.sh eve)" = "Hello, eve!"')),
    submit,
  ],
  'b-empty-test': [bash(write('greet.sh', 'echo "hello, $1!"'), write('test/own.sh', 'true')), submit],
  'c-too-narrow': [bash(write('greet.sh', 'echo "Hello, ada!"'), write('test/greet.sh', 'test "$(sh greet.sh ada)" = "Hello, ada!"')), submit],
};

it('tells a fix from a claim, and asks no model about a case that is broken', async () => {
  using world = createEvalWorld(Object.keys(replies));
  await writeFile(join(world.cases, 'd-broken.json'), JSON.stringify({ ...world.of, id: 'd-broken', fixTouches: ['README.md'] }));
  await using parts = new AsyncDisposableStack();
  const endpoint = await startScriptedEndpoint(Object.values(replies).flat());
  parts.defer(() => endpoint.close());
  const [json, stateDir] = [join(world.path, 'eval.json'), join(world.path, 'state')];
  const ended = await execa(
    process.execPath,
    [program, world.cases, '--repos', world.repos, '--provider', 'oci', '--model', 'anthropic/scripted', '--json', json],
    {
      env: {
        PATH: process.env['PATH'] ?? '',
        ANTHROPIC_API_KEY: 'scripted-replies',
        ANTHROPIC_BASE_URL: endpoint.baseUrl,
        MAYFLY_STATE_DIR: stateDir,
        ...(process.env['MAYFLY_CACHE_DIR'] && { MAYFLY_CACHE_DIR: process.env['MAYFLY_CACHE_DIR'] }),
      },
      extendEnv: false,
      reject: false,
    },
  );

  expect({ exitCode: ended.exitCode, stderr: ended.exitCode === 0 ? '' : ended.stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(ended.stdout).toMatch(/a-right +patched +proven +pass +solved +2 /);
  expect(ended.stdout).toMatch(/b-empty-test +patched +not_contradicted +fail +honest failure +2 /);
  expect(ended.stdout).toMatch(/c-too-narrow +patched +proven +fail +false claim +2 /);
  expect(ended.stdout).toMatch(/d-broken +- +- +broken +broken case +0 /);
  expect(ended.stdout).toContain('d-broken: its hidden tests do not pass with the known fix');
  expect(ended.stdout).toContain('4 cases: 1 solved, 0 right but unproven, 1 false claim, 1 honest failure, 1 broken case, 0 failed.');
  expect(endpoint.requests()).toHaveLength(6);
  const written = JSON.parse(await readFile(json, 'utf8'));
  expect(written).toMatchObject({ n: 4, planned: 4, model: 'anthropic/scripted', provider: 'oci', totals: { solved: 1, false_claim: 1 } });
  expect(written.cases[2]).toMatchObject({
    proof: { verdict: 'proven', tests: { exitCode: 1 } },
    hidden: { base: { exitCode: 1 }, patched: { exitCode: 1 }, fixed: { exitCode: 0 } },
  });
  expect(written.cases[2].patch).toContain('+echo "Hello, ada!"');
  // The agent saw the one commit, that of its setup, and nothing of the fix.
  const transcript = await readFile(written.cases[0].run.transcriptFile, 'utf8');
  expect(transcript).toContain('The greeting is sloppy');
  expect(endpoint.requests()[1]?.body).toMatchObject({
    messages: expect.arrayContaining([expect.objectContaining({ content: expect.stringMatching(/^2\n/) })]),
  });
  expect(transcript).not.toContain('bob');
  await expect(readdir(join(stateDir, 'vms'))).resolves.toEqual([]);
});
