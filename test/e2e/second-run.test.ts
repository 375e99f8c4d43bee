/** Two issues of one repository whose setup takes its time: the second run begins where the setup of the first was kept. */
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { isSkipped, lacksForGvisor } from '../support/guest.ts';
import { removeLayers } from '../support/remove-layers.ts';
import { setStage } from '../support/stage.ts';
import { issue, replies } from '../demo/story.ts';

const skipped = isSkipped('a second run of a repository', await lacksForGvisor());
const { MAYFLY_CACHE_DIR } = loadConfig('tool');
/** As long as it takes until a setup is worth keeping. */
const settings = 'setup:\n  - sleep 11\n  - date +%N > made-by-setup\ntest: grep -F "^-|-$" src/slug.js\nallow:\n  agent: [registry.npmjs.org]\n';
const fix = [replies[3], replies.at(-1)].filter((reply) => reply !== undefined);
/** Nobody else is asked for this to be refused: a registry that the settings open can be read, and only read, also by its TLS. */
const publish = { tools: [{ name: 'bash', input: { command: 'curl -sS -X PUT -d {} https://registry.npmjs.org/made-by-an-agent' } }] };
const nothingToDo = { tools: [{ name: 'submit', input: { summary: 'There is nothing to do.', files: [], noChange: true } }] };

describe.skipIf(skipped)('the second run of a repository', () => {
  it('is ready at once, with what setup made for the first, and says so; its proof begins with nothing', async () => {
    await using stack = new AsyncDisposableStack();
    const files = { '.github/mayfly.yml': settings, '.gitignore': 'made-by-setup\n' };
    const config = { MAYFLY_CACHE_DIR, MAYFLY_REPOSITORY_TEMPLATES_GIB: 1 };
    const change = { provider: 'oci', files, config, replies: 'request' } as const;
    const stage = await setStage([nothingToDo, publish, ...fix], change, { stack, signal: new AbortController().signal });
    const { system } = stage;
    stack.defer(() => removeLayers(MAYFLY_CACHE_DIR, system.standIn));
    const run = async () => {
      const number = await system.repository.createIssue({ as: 'ada', title: issue.title, body: issue.body });
      await system.repository.label({ as: 'ada', issue: number, label: 'mayfly' });
      return await system.nextReport();
    };

    const first = await run();
    await expect.poll(stage.logged, { timeout: 300_000 }).toContain('repository template is ready');
    const second = await run();

    expect([first.outcome?.kind, second.outcome?.kind]).toEqual(['no_change', 'published']);
    expect(first.template).toBeNull();
    expect(second.template).toMatchObject({ commit: expect.stringMatching(/^[0-9a-f]{40}$/), again: false });
    const [pull] = await system.repository.pullRequests();
    const { body } = await system.repository.pullRequest(pull.number);
    expect(body.body).toContain('was kept from an earlier run, and no command had to run again');
    const asked = second.egress.map(({ phase, method, host, path, decision }) => [phase, method, host, path, decision]);
    expect(asked).toContainEqual(['agent', 'PUT', 'registry.npmjs.org', '/made-by-an-agent', 'refused']);
    expect(second.vms).toMatchObject([{ id: 'agent' }, { id: 'proof', timingsMs: { setup: expect.toSatisfy((ms: number) => ms >= 11_000) } }]);
  });
});
