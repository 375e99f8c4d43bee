import { describe, expect, it } from 'vitest';
import { compareFiles, withComparison } from '../../../src/fix/compare-files.ts';
import type { PatchFile } from '../../../src/job.ts';

const written = (path: string): PatchFile => ({ path, change: { kind: 'write', mode: '100644', content: Buffer.from('x') } });
const base = new Map([
  ['a.js', null],
  ['b.js', null],
]);
const compare = (files: readonly PatchFile[], named: readonly string[]): readonly string[] => compareFiles({ baseSha: 'b', files }, named, base);

describe('compareFiles', () => {
  it('has nothing to say when the agent named what it changed, however it wrote the paths', () => {
    expect(compare([written('a.js'), { path: 'b.js', change: { kind: 'delete' } }], ['/workspace/a.js', './b.js'])).toEqual([]);
  });

  it('tells of every difference', () => {
    expect(compare([written('a.js'), written('new.js')], ['b.js'])).toEqual([
      'New files that the agent did not name: new.js.',
      'Changed files that the agent did not name: a.js.',
      'Files that the agent named but left as they were: b.js.',
    ]);
  });

  it('takes the place of what was said in an earlier round', () => {
    const first = withComparison(['Other.'], { baseSha: 'b', files: [written('a.js')] }, [], base);
    expect(first).toEqual(['Other.', 'Changed files that the agent did not name: a.js.']);

    expect(withComparison(first, { baseSha: 'b', files: [written('a.js')] }, ['a.js'], base)).toEqual(['Other.']);
  });

  it('stays short', () => {
    const many = Array.from({ length: 50 }, (_, index) => written(`new${index}.js`));

    expect(compare(many, [])[0]).toMatch(/: new0\.js, .* and 30 more\.$/);
  });
});
