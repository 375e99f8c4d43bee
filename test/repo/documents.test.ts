import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { describeSettings } from '../../src/config.ts';
import { describeKeys } from '../../src/settings/describe.ts';
import { errorTable } from '../../src/errors.ts';
import { configurationFile, configurationPage } from '../support/configuration-page.ts';
import { listFiles, readText, root } from '../support/repository.ts';
import { schemaFile, schemaText, settingsFile, settingsTable } from '../support/settings-page.ts';

const documents = ['README.md', ...(await listFiles('docs')).filter((file) => file.endsWith('.md'))];

/** Headings become anchors the way GitHub makes them. */
const anchors = (text: string) =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

async function brokenLinks(file: string, text: string): Promise<string[]> {
  const broken: string[] = [];
  for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [path = '', anchor] = target.split('#');
    const full = path === '' ? file : join(dirname(file), path);
    if (!existsSync(join(root, full))) broken.push(target);
    else if (anchor !== undefined && !anchors(await readText(full)).includes(anchor)) broken.push(target);
  }
  return broken;
}

describe('the documents', () => {
  test('give every error code one heading, and no other', async () => {
    const headings = [...(await readText('docs/errors.md')).matchAll(/^## (.+)$/gm)].map(([, code = '']) => code);

    expect(headings.toSorted()).toEqual(Object.keys(errorTable).toSorted());
  });

  test.each(Object.keys(errorTable))('say of %s what causes it and what to do', async (code) => {
    const text = (await readText('docs/errors.md')).split(/^## /m).find((section) => section.startsWith(`${code}\n`));

    expect(text).toMatch(/\*\*Cause\*\*: .+\n\n\*\*What to do\*\*: .+/);
  });

  test.each(documents)('have no broken link in %s', async (file) => {
    expect(await brokenLinks(file, await readText(file))).toEqual([]);
  });

  test('notice a broken link', async () => {
    expect(await brokenLinks('docs/design.md', '[a](nowhere.md) [b](security.md#no-such) [c](security.md#zones)')).toEqual([
      'nowhere.md',
      'security.md#no-such',
    ]);
  });

  test.each(documents)('have no contraction in %s', async (file) => {
    expect((await readText(file)).match(/\b\w+n['’]t\b|\b(?:it|that|there|what)['’]s\b|\b(?:we|you|they)['’](?:re|ve|ll)\b/gi)).toBeNull();
  });

  test('say of every setting what src/config.ts says; `npm run docs` writes it', async () => {
    expect(await readText(configurationFile)).toBe(configurationPage());
  });

  test('have every key of the settings of a repository, as src/settings has it; `npm run docs` writes them', async () => {
    expect(await readText(settingsFile)).toContain(settingsTable());
    expect(await readText(schemaFile)).toBe(schemaText());
  });

  test('notice a key that the page does not have', async () => {
    const added = settingsTable([...describeKeys(), { key: 'new', meaning: 'New.', example: 1 }]);

    expect(added).toContain('| `new` | New. | `1` | - | - |');
    expect(await readText(settingsFile)).not.toContain(added);
  });

  test('give every key of the settings a meaning and an example', () => {
    expect(describeKeys().filter(({ meaning, example }) => meaning === '' || example === undefined)).toEqual([]);
  });

  test('notice a setting that the page does not have', () => {
    const added = { name: 'MAYFLY_NEW', meaning: 'New.', fallback: null, choices: [], isSecret: true, neededBy: ['web'] } as const;

    expect(configurationPage([...describeSettings(), added])).toContain('| `MAYFLY_NEW` | New. | - | yes | web |');
    expect(configurationPage([...describeSettings(), added])).not.toBe(configurationPage());
  });

  test('keep the README on one screen', async () => {
    expect((await readText('README.md')).split('\n').length).toBeLessThanOrEqual(70);
  });

  test('name in the README the two commands that package.json has', async () => {
    const { scripts } = z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(await readText('package.json')));
    const named = [...(await readText('README.md')).matchAll(/npm ci && npm (?:run )?(\w+)/g)].map(([, name = '']) => name);

    expect(named).toEqual(['demo', 'test']);
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named));
  });

  test('name in the specification, beside each table, a command that exists', async () => {
    const text = await readText('docs/specification.md');
    const { scripts } = z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(await readText('package.json')));
    const benchmarks = [...(await readText('test/bench/bench.ts')).matchAll(/\.command\('(\w+)'\)/g)].map(([, name = '']) => name);
    const sections = text.split(/^## /m).filter((section) => section.includes('| p50'));

    expect(sections.length).toBeGreaterThan(0);
    for (const section of sections) expect(section).toMatch(/^Command: `npm run /m);
    const commands = [...text.matchAll(/`npm run (\w+)(?: -- (\w+))?/g)].map(([, script = '', benchmark]) => ({ script, benchmark }));
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(commands.map(({ script }) => script)));
    expect(benchmarks).toEqual(expect.arrayContaining(commands.filter(({ script }) => script === 'bench').map(({ benchmark }) => benchmark)));
  });

  test('run in CI the test command as the README has it', async () => {
    const command = 'npm ci && npm test';

    expect(await readText('README.md')).toContain(command);
    expect(await readText('.ci/run')).toContain(`'${command}'`);
  });
});
