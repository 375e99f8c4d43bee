import { describe, expect, test } from 'vitest';
import { readFacts } from '../../src/setup/facts.ts';
import { planSetup } from '../../src/setup/plan.ts';
import { runSetup } from '../../src/setup/setup.ts';

function check(searchPath: string) {
  const written: string[] = [];
  const built: string[] = [];
  const run = (signal: AbortSignal) =>
    runSetup({
      mode: 'check',
      searchPath,
      terminal: { write: (text) => written.push(text) },
      buildTemplate: async () => built.push('template'),
      signal,
    });
  return { run, built, text: () => written.join('') };
}

const path = process.env['PATH'] ?? '';
const plan = planSetup(await readFacts({ searchPath: path, signal: AbortSignal.timeout(20_000) }));
if (plan.kind !== 'ready') console.warn(`skipped: this host lacks ${plan.missing.map((item) => item.program).join(', ')}`);

describe('setup in check mode on this host', () => {
  test.skipIf(plan.kind !== 'ready')('finds what is there, then asks for the template', async ({ signal }) => {
    const setup = check(path);
    const report = await setup.run(signal);

    expect(report.installed).toEqual([]);
    expect(report.programs['qemu-system-x86_64']).toMatch(/^\d+\.\d+/);
    expect(setup.built).toEqual(['template']);
    expect(setup.text()).toContain('The host has what Mayfly needs');
  });

  test('names what is missing with the commands that bring it, installs nothing, and never gets to the template', async ({ signal }) => {
    const setup = check('/nonexistent');

    await expect(setup.run(signal)).rejects.toMatchObject({ code: 'host_incomplete' });
    expect(setup.text()).toContain('qemu-system-x86_64: not found, 8.2 or newer is needed (runs the micro-VMs; package qemu-system-x86)');
    expect(setup.built).toEqual([]);
  });
});
