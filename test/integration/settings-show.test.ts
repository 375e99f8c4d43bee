/** `mayfly settings show --repo owner/name`: what a run would work by, read from GitHub as the App. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { failOnViolations } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { createFolder } from '../support/git-repository.ts';
import { root } from '../support/repository.ts';

const path = '.github/mayfly.yml';
let standIn: StandInGitHub;
let engine: StandInRepository;
let folder: ReturnType<typeof createFolder>;
let first: string;

beforeAll(async () => {
  folder = createFolder();
  standIn = await createStandInGitHub({ organizations: ['acme', 'elsewhere'], account: 'acme' });
  engine = await standIn.seedRepository({ name: 'engine', private: true, files: { [path]: 'extends: organization\ntest: npm test\n' } });
  await standIn.seedRepository({ name: '.github', private: true, files: { [path]: 'ci: run\n' } });
  await standIn.seedRepository({ name: 'other', private: true, installed: false, files: { a: 'a' } });
  await standIn.seedRepository({ owner: 'elsewhere', name: 'thing', installed: false, files: { a: 'a' } });
  first = (await engine.history('main'))[0]?.sha ?? '';
  await engine.commit({ branch: 'broken', message: 'x', files: { [path]: 'tset: npm test\n' } });
});
afterAll(async () => {
  await standIn?.close();
  folder?.[Symbol.dispose]();
});
afterEach(() => {
  failOnViolations(standIn);
  if (standIn.tokens.some(({ revoked }) => !revoked)) throw new Error('a token was not revoked');
});

async function show(argv: readonly string[], change: Readonly<Record<string, string | undefined>> = {}) {
  const env = {
    PATH: process.env['PATH'],
    MAYFLY_CACHE_DIR: join(folder.path, 'cache'),
    GITHUB_API_URL: standIn.apiUrl,
    GITHUB_SERVER_URL: standIn.webUrl,
    APP_ID: String(standIn.app.appId),
    PRIVATE_KEY: standIn.app.privateKey,
    ...change,
  };
  const main = join(root, 'src/main.ts');
  const { exitCode, stdout, stderr } = await execa(process.execPath, [main, 'settings', 'show', '--repo', ...argv], {
    reject: false,
    extendEnv: false,
    cwd: folder.path,
    env,
  });
  expect(`${stdout}${stderr}`).not.toMatch(/ghs_|PRIVATE KEY/);
  return { exitCode, stdout, stderr };
}

test('prints what holds there, with the file of the organization, and writes nothing', async () => {
  const { exitCode, stdout, stderr } = await show(['acme/engine']);

  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(stdout).toMatch(/^test +npm test +repository, line 2$/m);
  expect(stdout).toMatch(/^ci +run +organization acme\/\.github, line 1$/m);
  expect(standIn.tokens.map(({ permissions }) => permissions)).toEqual(standIn.tokens.map(() => ({ contents: 'read', metadata: 'read' })));
  expect(standIn.requests.filter(({ method, path: asked }) => method !== 'GET' && !/\/access_tokens$|^\/installation\/token$/.test(asked))).toEqual([]);
});

test('of a branch or a commit, and says when there is none', async () => {
  expect(await show(['acme/engine', '--base', 'broken'])).toMatchObject({
    exitCode: 2,
    stdout: '.github/mayfly.yml:1:1 tset: there is no such key; did you mean test?',
  });
  expect(JSON.parse((await show(['acme/engine', '--base', first, '--json'])).stdout)).toMatchObject({ ci: { value: 'run' } });
  expect(await show(['acme/engine', '--base', 'nowhere'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('acme/engine has no nowhere') });
});

test('says where the App is not installed, and where there is no such repository', async () => {
  const add = 'http://127.0.0.1:\\d+/apps/mayfly/installations/new';

  for (const [name, reason] of [
    ['elsewhere/thing', `the App mayfly is not installed at elsewhere; install it: ${add}`],
    ['acme/other', `the App mayfly is installed at acme, but not on a repository other; check the name, or add it: ${add}`],
    ['acme/none', `the App mayfly is installed at acme, but not on a repository none; check the name, or add it: ${add}`],
  ] as const) {
    const { exitCode, stdout, stderr } = await show([name]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 4, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^mayfly: The repository could not be read\\..*\\(${reason}\\)$`));
  }
});

test('says what it needs for that, and that a folder goes first', async () => {
  expect(await show(['acme/engine'], { APP_ID: undefined })).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining('there is no folder acme/engine; to read it from GitHub, set APP_ID and PRIVATE_KEY_PATH as the worker has them'),
  });
  expect(await show(['acme/engine'], { APP_ID: '5' })).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('does not accept the App credentials') });
  expect(await show(['acme/engine', '--organization', '.'])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('--organization goes with a folder'),
  });
  mkdirSync(join(folder.path, 'acme/engine'), { recursive: true });
  const before = standIn.requests.length;
  expect(await show(['acme/engine'])).toMatchObject({ exitCode: 4, stdout: '' });
  expect(standIn.requests.length).toBe(before);
});
