/** A repository that names an image of its own: from the label to the pull request in VMs made of it, or one line that says why not. */
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { isSkipped, lacksForGvisor } from '../support/guest.ts';
import { startImageRegistry } from '../support/oci/image-registry.ts';
import type { ImageRegistry } from '../support/oci/image-registry.ts';
import { layOut, tar } from '../support/oci/layers.ts';
import { smallSystem } from '../support/oci/small-system.ts';
import { removeLayers } from '../support/remove-layers.ts';
import type { ScriptedReply } from '../support/scripted-endpoint.ts';
import { expectNothingLeft, setStage } from '../support/stage.ts';
import type { Stage, StageChange } from '../support/stage.ts';

const lacksSkopeo = (await execa('skopeo', ['--version'], { reject: false })).failed ? 'skopeo is not installed' : null;
const skipped = isSkipped('a run in an image of its own', lacksSkopeo ?? (await lacksForGvisor()));

const { MAYFLY_CACHE_DIR } = loadConfig('tool');
const mend = `sed -i s/Helo/Hello/ greet.sh && printf '[ "$(sh greet.sh)" = "Hello from the image" ]\\n' > test/greet.test.sh && sh test/greet.test.sh`;
const script: readonly ScriptedReply[] = [
  { tools: [{ name: 'bash', input: { command: mend } }] },
  { tools: [{ name: 'submit', input: { summary: 'The greeting is spelled right.', files: ['greet.sh', 'test/greet.test.sh'], noChange: false } }] },
];

describe.skipIf(skipped)('the image that the settings name', () => {
  let stop: AbortController;
  let stack: AsyncDisposableStack;
  let registry: ImageRegistry;
  beforeEach(async () => {
    stop = new AbortController();
    stack = new AsyncDisposableStack();
    registry = stack.use(await startImageRegistry());
  });
  afterEach(() => stack.disposeAsync());

  async function start(settings: string, allowed: readonly string[], change: StageChange & { setup?: string } = {}): Promise<Stage> {
    const files = {
      ...change.files,
      '.github/mayfly.yml': `setup: ${change.setup ?? '[]'}\ntest: sh test/greet.test.sh\n${settings}`,
      'greet.sh': 'echo "Helo from $(where)"\n',
      'test/greet.test.sh': 'sh greet.sh\n',
    };
    const config = { MAYFLY_CACHE_DIR, MAYFLY_IMAGE_REGISTRIES: [...allowed], ...change.config };
    return await setStage(script, { provider: 'oci', ...change, files, config }, { stack, signal: stop.signal });
  }

  async function labelIssue({ system }: Stage): Promise<number> {
    const body = 'The script greet.sh says Helo, and should say Hello, with two times the letter L.';
    const number = await system.repository.createIssue({ as: 'ada', title: 'The greeting is misspelled', body });
    await system.repository.label({ as: 'ada', issue: number, label: 'mayfly' });
    return number;
  }

  it('is where the fix is made and proven', async () => {
    const tools = tar([{ name: 'opt/tools/where', content: '#!/bin/sh\necho the image\n', mode: 0o755 }]);
    registry.push('acme/tools', '1.4', layOut({ layers: [...(await smallSystem()), tools], environment: ['PATH=/opt/tools:/usr/bin:/bin'] }));
    const stage = await start(`sandbox:\n  image: ${registry.address}/acme/tools:1.4\n`, [`http://${registry.address}/acme`]);

    await labelIssue(stage);
    const report = await stage.system.nextReport();

    expect(report.outcome).toMatchObject({ kind: 'published' });
    expect(report.proof).toMatchObject({ verdict: 'proven', source: '.github/mayfly.yml', patched: { exitCode: 0 } });
    expect(report).toMatchObject({ node: null, sandbox: { provider: 'oci' }, timingsMs: { image: expect.any(Number) } });
    expect(await stage.system.repository.pullRequests()).toHaveLength(1);
    await expectNothingLeft(stage, report.runId);
  });

  it('has its setup kept as the template of this host has, for the next run', async () => {
    const tools = tar([{ name: 'opt/tools/where', content: '#!/bin/sh\necho the image\n', mode: 0o755 }]);
    registry.push('acme/tools', '1.5', layOut({ layers: [...(await smallSystem()), tools], environment: ['PATH=/opt/tools:/usr/bin:/bin'] }));
    // As long as it takes until a setup is worth keeping.
    const setup = '["sleep 11", "date +%N > made-by-setup"]';
    const change = { setup, files: { '.gitignore': 'made-by-setup\n' }, config: { MAYFLY_REPOSITORY_TEMPLATES_GIB: 2 }, replies: 'turn' } as const;
    const stage = await start(`sandbox:\n  image: ${registry.address}/acme/tools:1.5\n`, [`http://${registry.address}/acme`], change);
    stack.defer(() => removeLayers(MAYFLY_CACHE_DIR, stage.system.standIn));

    await labelIssue(stage);
    const first = await stage.system.nextReport();
    await expect.poll(stage.logged, { timeout: 300_000 }).toMatch(/repository template (?:is ready|could not be made)/);
    await labelIssue(stage);
    const second = await stage.system.nextReport();

    expect([first.outcome, second.outcome]).toMatchObject([{ kind: 'published' }, { kind: 'published' }]);
    expect([first.template, second.template]).toEqual([null, expect.objectContaining({ again: false })]);
    expect(second.proof).toMatchObject({ verdict: 'proven' });
    expect(second.vms.map(({ id, timingsMs }) => [id, (timingsMs.setup ?? 0) >= 11_000])).toEqual([
      ['agent', false],
      ['proof', true],
    ]);
    await expectNothingLeft(stage, second.runId);
  });

  it('is refused in one line when no VM can be made of it', async () => {
    registry.push('acme/tools', '1.4', layOut({ layers: [tar([{ name: 'bin/tool', content: 'x', mode: 0o755 }])] }));
    const stage = await start(`sandbox:\n  image: ${registry.address}/acme/tools:1.4\n`, [`http://${registry.address}`]);

    const number = await labelIssue(stage);
    const report = await stage.system.nextReport();

    expect(report.outcome).toMatchObject({ kind: 'refused', reason: 'image' });
    expect((await stage.system.repository.comments(number)).at(-1).body).toContain(
      `no VM can be made of the image that the settings name (\`sandbox.image\`). \`${registry.address}/acme/tools:1.4: it has no /bin/sh that runs here\``,
    );
    await expectNothingLeft(stage, report.runId);
  });

  it('has to come from a registry that the operator allows', async () => {
    const stage = await start('sandbox:\n  image: ghcr.io/acme/tools:1.4\n', []);

    await labelIssue(stage);
    await stage.idle();

    const issues = JSON.stringify(await stage.system.repository.allIssues());
    expect(issues).toContain("comes from a registry that is not allowed here; none is (the operator's MAYFLY_IMAGE_REGISTRIES)");
  });
});
