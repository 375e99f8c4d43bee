import { describe, expect, it } from 'vitest';
import { judge, withBaseScripts } from '../../../src/fix/proof.ts';
import type { Patch, TestRun } from '../../../src/job.ts';

const run = (exitCode: number | null, ended: TestRun['ended'] = 'exited'): TestRun => ({ command: 'npm test', exitCode, ended, durationMs: 1, output: '' });

describe('judge', () => {
  it.each([
    [1, 0, 'proven'],
    [0, 0, 'not_contradicted'],
    [0, 1, 'regressed'],
    [1, 1, 'still_failing'],
    [127, 127, 'could_not_run'],
    [0, 126, 'could_not_run'],
  ])('base %i, patched %i: %s', (base, patched, verdict) => {
    expect(judge(run(base), run(patched))).toBe(verdict);
  });

  it('says nothing of a run that did not end by itself', () => {
    expect(judge(run(null, 'timeout'), run(0))).toBe('could_not_run');
    expect(judge(run(1), run(null, 'timeout'))).toBe('could_not_run');
  });

  it('takes a test run that a signal ended for a failure', () => {
    expect(judge(run(0), run(null))).toBe('regressed');
    expect(judge(run(null), run(0))).toBe('proven');
  });
});

describe('withBaseScripts', () => {
  const patchOf = (manifest: string): Patch => ({
    baseSha: 'a'.repeat(40),
    files: [
      { path: 'src/a.js', change: { kind: 'write', mode: '100644', content: Buffer.from('1') } },
      { path: 'package.json', change: { kind: 'write', mode: '100644', content: Buffer.from(manifest) } },
    ],
  });
  const manifestOf = (patch: Patch): unknown => {
    const file = patch.files.find(({ path }) => path === 'package.json');
    return file?.change.kind === 'write' ? JSON.parse(Buffer.from(file.change.content).toString()) : null;
  };

  it('lets a patch change anything of package.json but what the test command stands for', () => {
    const proven = withBaseScripts(patchOf('{"scripts":{"test":"true"},"dependencies":{"b":"2"}}'), '{"scripts":{"test":"node --test"},"dependencies":{}}');

    expect(manifestOf(proven)).toEqual({ scripts: { test: 'node --test' }, dependencies: { b: '2' } });
    expect(proven.files).toHaveLength(2);
  });

  it.each([
    ['the same scripts', '{"scripts":{"test":"x"},"version":"2"}', '{"scripts":{"test":"x"}}'],
    ['no scripts on base', '{"scripts":{"test":"x"}}', '{}'],
    ['no package.json on base', '{"scripts":{"test":"x"}}', null],
    ['a package.json that is none', 'not json', '{"scripts":{"test":"x"}}'],
  ])('leaves a patch with %s as it is', (_name, after, before) => {
    const patch = patchOf(after);

    expect(withBaseScripts(patch, before)).toBe(patch);
  });
});
