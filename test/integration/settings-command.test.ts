/** `mayfly settings`, as a person runs it. */
import { mkdirSync } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { createFolder, createGitRepository } from '../support/git-repository.ts';
import { root } from '../support/repository.ts';

let folder: ReturnType<typeof createFolder>;
beforeEach(() => (folder = createFolder()));
afterEach(() => folder[Symbol.dispose]());

const mayfly = async (argv: readonly string[], env: Readonly<Record<string, string>> = {}) => {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [join(root, 'src/main.ts'), 'settings', ...argv], {
    reject: false,
    env: { MAYFLY_CACHE_DIR: join(folder.path, 'cache'), ...env },
  });
  return { exitCode, stdout, stderr };
};

async function write(name: string, text: string): Promise<string> {
  const file = join(folder.path, name);
  await writeFile(file, text);
  return file;
}

/** A repository whose settings are committed. */
function repositoryWith(settings: string): string {
  const repository = createGitRepository();
  onTestFinished(() => repository[Symbol.dispose]());
  mkdirSync(join(repository.directory, '.github'));
  repository.commit({ '.github/mayfly.yml': settings });
  return repository.directory;
}

test('validate says of each mistake where it is, with exit code 2, and nothing is wrong with code 0', async () => {
  const [good, bad] = [await write('good.yml', 'test: npm test\n'), await write('bad.yml', 'tset: npm test\nci: "\\e[31mrun"\n')];

  expect(await mayfly(['validate', good])).toMatchObject({ exitCode: 0, stdout: `${good}: every key is understood`, stderr: '' });
  const { exitCode, stdout } = await mayfly(['validate', bad]);
  expect(exitCode).toBe(2);
  expect(stdout.split('\n')).toEqual([
    `${bad}:1:1 tset: there is no such key; did you mean test?`,
    expect.stringMatching(/^[\x20-\x7e]+:2:1 ci: it is hold or run/),
  ]);
  const json = await mayfly(['validate', bad, '--json']);
  expect(json.exitCode).toBe(2);
  expect(JSON.parse(json.stdout)).toMatchObject({ valid: false, problems: [{ line: 1, column: 1, key: 'tset' }, { line: 2 }] });
});

const within = { MAYFLY_ALLOWED_HOSTS: 'pypi docs.example.org' };
const opening = 'allow:\n  agent: [npm, docs.example.org]\n';
const narrowed =
  "repository, line 2 asked registry.npmjs.org, docs.example.org, operator's ceiling pypi.org, files.pythonhosted.org, docs.example.org (MAYFLY_ALLOWED_HOSTS)";

test('validate says which hosts of the file the operator does not allow, which is no mistake in the file', async () => {
  const file = await write('hosts.yml', opening);
  const note = `allow.agent is not open in full here: ${narrowed}`;

  const [plain, json] = await Promise.all([mayfly(['validate', file], within), mayfly(['validate', file, '--json'], within)]);

  expect(plain).toEqual({ exitCode: 0, stdout: `${file}: every key is understood\n${note}`, stderr: '' });
  expect(JSON.parse(json.stdout)).toEqual({ file, valid: true, problems: [], notes: [note] });
});

test('show says which hosts of the file the operator does not allow, and which registries of setup are left', async () => {
  const { stdout } = await mayfly(['show', '--repo', repositoryWith(opening)], within);

  expect(stdout).toMatch(/^allow\.setup +none +default; operator leaves of the registries: pypi \(MAYFLY_ALLOWED_HOSTS\)$/m);
  expect(/^allow\.agent +docs\.example\.org +(?<origin>.*)$/m.exec(stdout)?.groups?.['origin']).toBe(narrowed);
});

test('validate reads nothing of a file of 50 MB (32 of the threat model), and says when there is none', async () => {
  const large = await write('large.yml', '');
  await truncate(large, 50_000_000);

  expect(await mayfly(['validate', large])).toMatchObject({ exitCode: 2, stdout: expect.stringContaining('larger than 32768 bytes') });
  expect(await mayfly(['validate', join(folder.path, 'none.yml')])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('cannot be read') });
});

test('show prints every key with its value, and whose word that is', async () => {
  const own = repositoryWith('extends: organization\ntest: npm test\nlimits:\n  steps: 300\n');
  const shared = repositoryWith('ci: run\n');
  const env = { MAYFLY_MAX_STEPS: '100' };

  const { exitCode, stdout } = await mayfly(['show', '--repo', own, '--organization', shared], env);

  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^test +npm test +repository, line 2$/m);
  expect(stdout).toMatch(/^limits\.steps +100 +repository, line 4 asked 300, operator's ceiling 100 \(MAYFLY_MAX_STEPS\)$/m);
  expect(stdout).toMatch(new RegExp(`^ci +run +organization ${basename(shared)}, line 1$`, 'm'));
  const json = await mayfly(['show', '--repo', own, '--json'], env);
  expect(JSON.parse(json.stdout)).toMatchObject({ ci: { value: 'hold', origin: 'default' }, 'limits.steps': { value: 100 } });
});

test('show says what is broken, with exit code 2', async () => {
  const own = repositoryWith('tset: x\n');

  expect(await mayfly(['show', '--repo', own])).toMatchObject({ exitCode: 2, stdout: '.github/mayfly.yml:1:1 tset: there is no such key; did you mean test?' });
});
