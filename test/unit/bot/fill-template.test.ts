import { describe, expect, it } from 'vitest';
import { fillTemplate } from '../../../src/bot/fill-template.ts';
import { parseTemplate } from '../../../src/fix/pull-template.ts';
import type { Proof, TestRun } from '../../../src/job.ts';
import { nothingToRun } from '../../../src/proof/prove.ts';
import { processorMs } from '../../support/processor-time.ts';

const passed: TestRun = { command: 'npm test', exitCode: 0, ended: 'exited', durationMs: 1, output: '', results: null };
const proven: Proof = { ...nothingToRun, verdict: 'proven', tests: { ...passed, exitCode: 1 }, patched: passed };
const fill = (template: string, proof: Proof | null = proven): string =>
  fillTemplate(parseTemplate(template), { about: ['Closes #7', ''], summary: ['It was off by one.', ''], seen: ['**Proven**', ''], proof }).join('\n');

describe('a template of the repository', () => {
  it('keeps its headings, with our parts below the ones that ask for them', () => {
    const filled = fill('<!-- Hi -->\n## Description\nPlease describe.\n\n## How Has This Been Tested?\n\n## Related Issue\nFixes #\n\n### Screenshots\n');

    expect(filled).toBe(
      '## Description\n\nIn the words of the agent:\n\nIt was off by one.\n\n## How Has This Been Tested?\n\nWhat the host saw:\n\n**Proven**\n\n## Related Issue\n\nCloses #7\n\n### Screenshots\n\n_Not filled in._\n',
    );
  });

  it('is followed by what it has no place for', () => {
    expect(fill('## Screenshots\n')).toBe(
      'Closes #7\n\n## Screenshots\n\n_Not filled in._\n\n## What the agent says\n\nIt was off by one.\n\n## What the host saw\n\n**Proven**\n',
    );
  });

  it.each([
    ['I have added tests that prove my fix is effective', 'x'],
    ['All new and existing tests passed.', 'x'],
    ['New and existing unit tests pass locally with my changes', 'x'],
    ['I ran the tests', 'x'],
    ['I have read the CONTRIBUTING document', ' '],
    ['I have tested this manually in a browser', ' '],
    ['This change does not need tests to pass', ' '],
    ['I agree to the code of conduct', ' '],
    ['The end-to-end tests pass', ' '],
  ])('has its box %j ticked only for what the host has seen', (text, mark) => {
    expect(fill(`- [x] ${text}\n`)).toContain(`- [${mark}] ${text}`);
  });

  it('has no box ticked without a proof', () => {
    const boxes = '- [x] All tests pass\n- [x] I added tests\n';

    for (const proof of [null, nothingToRun, { ...proven, verdict: 'still_failing' as const }]) expect(fill(boxes, proof)).not.toContain('[x]');
    expect(fill(boxes, { ...proven, verdict: 'not_contradicted' })).toMatch(/\[x\] All tests pass\n- \[ \] I added tests/);
  });

  it('brings nothing that acts: no mention, no keyword, no HTML, no link', () => {
    const filled = fill('## Why @all ![x](https://evil.example) <img src=x>\n- [ ] closes #99 @octocat [y](https://evil.example)\n');

    expect(filled).not.toMatch(/@\w|#99|(?<!\\)\]\(|:\/\/|</);
  });

  it('loses what stands in comments, also in one that never ends, and headings in code', () => {
    expect(parseTemplate('<!-- ## a -->\n```\n## b\n```\n## c\n<!-- \n## d\n').map(({ heading }) => heading)).toEqual(['c']);
  });

  it('is bounded, and read in no time', async () => {
    const large = parseTemplate(`${'## x\n'.repeat(3000)}${'- [ ] y\n'.repeat(3000)}`);

    expect(large).toHaveLength(30);
    expect(large.at(-1)?.boxes).toHaveLength(60);
    const [comment, heading] = ['<!--'.repeat(8000), `# ${' #'.repeat(16_000)}`];
    expect([parseTemplate(comment), parseTemplate(heading)]).toMatchObject([[], [{}]]);
    expect(await processorMs(() => [comment, heading].map((text) => parseTemplate(text)))).toBeLessThan(1000);
  });
});
