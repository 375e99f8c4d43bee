import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { findNearest } from '../../../src/agent/nearest.ts';

describe('findNearest', () => {
  it('shows the lines that are most like the wanted ones, and why they do not fit', () => {
    const text = ['a', '', 'function parse(text) {', '    return text.trim();', '}', ''].join('\n');

    expect(findNearest(text, 'function parse(text) {\n  return text.trim();')).toMatch(/line 4 begins with 4 spaces, and in old with 2 spaces:\n1\|a/);
    expect(findNearest(text, 'function parse(words) {\n  return words.trim();')).toMatch(/^The nearest lines are:\n1\|a\n/);
    expect(findNearest(text, 'import x')).toContain('Nothing in the file is like it');
  });

  it('looks at a million lines with the memory of a few', async () => {
    const code = `
      const { parentPort } = require('node:worker_threads');
      import(${JSON.stringify(new URL('../../../src/agent/nearest.ts', import.meta.url).href)}).then(({ findNearest }) => {
        const wanted = 'const a = 1;\\nconst b = 2;\\nconst c = 3;\\nconst d = 4;\\nconst e = 5;';
        parentPort.postMessage(['', 'a'].map((line) => findNearest((line + '\\n').repeat(999_995) + wanted.replaceAll(' ', '  '), wanted)));
      });`;
    const worker = new Worker(code, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 100 } });

    const [found] = (await once(worker, 'message')) as [string[]];

    expect(found).toEqual([expect.stringContaining('999996|const  a  =  1;'), expect.stringContaining('999996|const  a  =  1;')]);
  });
});
