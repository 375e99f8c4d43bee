import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createBotClient, createClient, createUserClient, failOnViolations, mintToken, refusal } from '../support/github/clients.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { createStandInGitHub, type StandInGitHub } from '../support/github/stand-in.ts';

let standIn: StandInGitHub;
let directory: string;
const at = ({ owner, name }: StandInRepository) => ({ owner, repo: name });

beforeAll(async () => {
  standIn = await createStandInGitHub();
  directory = await mkdtemp(join(tmpdir(), 'stand-in-git-'));
});
afterEach(() => failOnViolations(standIn));
afterAll(async () => {
  await standIn.close();
  await rm(directory, { recursive: true, force: true });
});

/** Real git, with the token where GitHub wants it. */
async function git(args: readonly string[], options: { token?: string; cwd?: string } = {}): Promise<{ ok: boolean; out: string; err: string }> {
  const header = options.token === undefined ? {} : { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'http.extraHeader', GIT_CONFIG_VALUE_0: basic(options.token) };
  const env = { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', GIT_TERMINAL_PROMPT: '0', ...header };
  const identity = ['-c', 'user.name=ada', '-c', 'user.email=ada@example.org'];
  const result = await execa('git', [...identity, ...args], { reject: false, env, cwd: options.cwd ?? directory });
  return { ok: result.exitCode === 0, out: result.stdout, err: result.stderr };
}

function basic(token: string): string {
  return `Authorization: Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
}

async function clone(repository: StandInRepository, token: string): Promise<string> {
  const target = join(directory, `${repository.name}-${Math.random().toString(36).slice(2)}`);
  const result = await git(['clone', '--quiet', repository.cloneUrl, target], { token });
  expect(result.err).toBe('');
  return target;
}

describe('git over HTTP', () => {
  it('clones what was seeded, modes and history included', async () => {
    const files = { 'a.txt': 'a\n', 'run.sh': { content: '#!/bin/sh\n', mode: '100755' as const }, link: { content: 'a.txt', mode: '120000' as const } };
    const repository = await standIn.seedRepository({ private: true, files, history: [{ message: 'Second', files: { 'a.txt': 'b\n' } }] });

    const cloned = await clone(repository, await mintToken(standIn, { permissions: { contents: 'read' } }));

    expect(await readFile(join(cloned, 'a.txt'), 'utf8')).toBe('b\n');
    expect((await git(['log', '--format=%s'], { cwd: cloned })).out).toBe('Second\nInitial commit');
    expect((await git(['ls-files', '-s'], { cwd: cloned })).out).toMatch(/^100644 .*a\.txt\n120000 .*link\n100755 .*run\.sh$/);
  });

  it('asks for credentials, and knows a revoked token from a live one', async () => {
    const repository = await standIn.seedRepository({ private: true, files: { a: 'a' } });
    const token = await mintToken(standIn);
    expect((await git(['ls-remote', repository.cloneUrl], { token })).ok).toBe(true);
    await createClient(standIn, token).rest.apps.revokeInstallationAccessToken();

    expect((await git(['ls-remote', repository.cloneUrl], { token })).err).toMatch(/Authentication failed|terminal prompts disabled/);
    expect((await git(['ls-remote', repository.cloneUrl])).err).toContain('terminal prompts disabled');
  });

  it('gives a public repository to everybody, and a private one only to a token with its contents', async () => {
    const open = await standIn.seedRepository({ files: { a: 'a' } });
    const closed = await standIn.seedRepository({ private: true, files: { a: 'a' } });
    const elsewhere = await mintToken(standIn, { repositoryIds: [open.id] });
    const issuesOnly = await mintToken(standIn, { permissions: { issues: 'write' }, repositoryIds: [closed.id] });

    expect((await git(['ls-remote', open.cloneUrl])).ok).toBe(true);
    expect((await git(['ls-remote', closed.cloneUrl], { token: elsewhere })).err).toContain('not found');
    expect((await git(['ls-remote', closed.cloneUrl], { token: issuesOnly })).err).toMatch(/403|not granted/);
    expect((await git(['ls-remote', `${standIn.webUrl}/acme/nowhere.git`], { token: elsewhere })).err).toContain('not found');
  });

  it('takes a push, but not to a protected branch, not of a workflow, and not from a reader', async () => {
    const repository = await standIn.seedRepository({
      files: { a: 'a\n' },
      protectedBranches: ['main'],
      collaborators: [{ login: 'ada', permission: 'write' }],
    });
    const token = await mintToken(standIn, { permissions: { contents: 'write' } });
    const cloned = await clone(repository, token);
    const push = async (file: string, branch: string, by = token) => {
      await execa('mkdir', ['-p', join(cloned, file, '..')]);
      await writeFile(join(cloned, file), 'changed\n');
      await git(['add', '-A'], { cwd: cloned });
      await git(['commit', '-q', '-m', file], { cwd: cloned });
      return git(['push', 'origin', `HEAD:${branch}`], { token: by, cwd: cloned });
    };

    expect(await push('a', 'agent/issue-1')).toMatchObject({ ok: true });
    expect((await push('b', 'main')).err).toContain('GH006: Protected branch update failed for refs/heads/main.');
    expect((await push('b', 'refused', standIn.userToken('mallory'))).err).toMatch(/403|denied to mallory/);
    expect((await push('.github/workflows/x.yml', 'refused')).err).toContain(
      'refusing to allow a GitHub App to create or update workflow `.github/workflows/x.yml` without `workflows` permission',
    );
    expect(Object.keys(await repository.branches())).toEqual(['agent/issue-1', 'main']);
    expect(await push('c', 'by-ada', standIn.userToken('ada'))).toMatchObject({ ok: true });
  });

  it('serves any commit by its id and partial clones, as GitHub does', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' }, history: [{ message: 'Second', files: { a: 'b' } }] });
    const { main = '' } = await repository.branches();
    const { data } = await createClient(standIn).rest.git.getCommit({ ...at(repository), commit_sha: main });
    await git(['init', '--quiet', '--bare', `${repository.name}-partial`]);

    const fetched = await git(['fetch', '--quiet', '--depth=1', '--filter=blob:none', repository.cloneUrl, data.parents[0]?.sha ?? ''], {
      cwd: join(directory, `${repository.name}-partial`),
    });

    expect(fetched).toMatchObject({ ok: true });
  });
});

describe('the Git Data API', () => {
  it('makes commits that real git fetches, with modes kept, files deleted and binary intact', async () => {
    const repository = await standIn.seedRepository({ private: true, files: { 'run.sh': { content: 'a\n', mode: '100755' }, gone: 'x', keep: 'k' } });
    const token = await mintToken(standIn, { permissions: { contents: 'write' } });
    const { rest } = createClient(standIn, token);
    const { main = '' } = await repository.branches();
    const blob = await rest.git.createBlob({ ...at(repository), content: Buffer.from([0, 255, 10]).toString('base64'), encoding: 'base64' });
    const tree = await rest.git.createTree({
      ...at(repository),
      base_tree: main,
      tree: [
        { path: 'run.sh', mode: '100755', type: 'blob', content: 'b\n' },
        { path: 'deep/er/bin', mode: '100644', type: 'blob', sha: blob.data.sha },
        { path: 'gone', mode: '100644', type: 'blob', sha: null },
      ],
    });
    const commit = await rest.git.createCommit({ ...at(repository), message: 'Fix\n\nskip-checks: true', tree: tree.data.sha, parents: [main] });
    await rest.git.createRef({ ...at(repository), ref: 'refs/heads/mayfly/issue-1', sha: commit.data.sha });

    const cloned = await clone(repository, token);
    await git(['checkout', '-q', 'mayfly/issue-1'], { cwd: cloned });

    expect((await git(['ls-files', '-s'], { cwd: cloned })).out).toMatch(/^100644 .*deep\/er\/bin\n100644 .*keep\n100755 .*run\.sh$/);
    expect([...(await readFile(join(cloned, 'deep/er/bin')))]).toEqual([0, 255, 10]);
    expect((await git(['rev-parse', 'HEAD'], { cwd: cloned })).out).toBe(commit.data.sha);
    expect((await git(['log', '-1', '--format=%B'], { cwd: cloned })).out.trim()).toBe('Fix\n\nskip-checks: true');
    expect((await git(['fsck', '--strict'], { cwd: cloned })).ok).toBe(true);
  });

  it('signs for the App what names no author, and nothing that does', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' } });
    const bot = await createBotClient(standIn);
    const { main = '' } = await repository.branches();
    const { data: parent } = await bot.rest.git.getCommit({ ...at(repository), commit_sha: main });
    const commit = (more: object) => bot.rest.git.createCommit({ ...at(repository), message: 'x', tree: parent.tree.sha, parents: [main], ...more });

    const own = await commit({});
    const named = await commit({ author: { name: 'ada', email: 'ada@example.org' } });
    const byPerson = await createUserClient(standIn, 'acme-owner').rest.git.createCommit({
      ...at(repository),
      message: 'x',
      tree: parent.tree.sha,
      parents: [main],
    });

    expect(own.data).toMatchObject({
      author: { name: 'mayfly[bot]', email: expect.stringMatching(/^\d+\+mayfly\[bot\]@users\.noreply\.github\.com$/) },
      verification: { verified: true, reason: 'valid' },
    });
    expect(named.data).toMatchObject({ author: { name: 'ada' }, verification: { verified: false, reason: 'unsigned' } });
    expect(byPerson.data.verification.verified).toBe(false);
  });

  it('refuses what GitHub refuses', async () => {
    const repository = await standIn.seedRepository({ files: { a: 'a' }, protectedBranches: ['main'], history: [{ message: 'Second', files: { a: 'b' } }] });
    const { rest } = await createBotClient(standIn);
    const { main = '' } = await repository.branches();
    const { data: head } = await rest.git.getCommit({ ...at(repository), commit_sha: main });
    const tree = (path: string, more: object) =>
      refusal(rest.git.createTree({ ...at(repository), base_tree: main, tree: [{ path, mode: '100644', type: 'blob', ...more }] }));
    const nowhere = 'f'.repeat(40);

    expect((await tree('../x', { content: 'x' })).message).toContain('malformed path component');
    expect((await tree('.git/config', { content: 'x' })).message).toContain('malformed path component');
    expect(await tree('never-was', { sha: null })).toMatchObject({ status: 422, message: 'GitRPC::BadObjectState' });
    expect(await tree('x', { sha: nowhere })).toMatchObject({ status: 422 });
    expect(await refusal(rest.git.createRef({ ...at(repository), ref: 'refs/heads/main', sha: main }))).toMatchObject({
      status: 422,
      message: 'Reference already exists',
    });
    expect(await refusal(rest.git.createRef({ ...at(repository), ref: 'refs/heads/x', sha: nowhere }))).toMatchObject({
      status: 422,
      message: 'Object does not exist',
    });
    expect(await refusal(rest.git.updateRef({ ...at(repository), ref: 'heads/main', sha: main }))).toMatchObject({
      status: 422,
      message: 'Protected branch update failed for refs/heads/main.',
    });
    await rest.git.createRef({ ...at(repository), ref: 'refs/heads/b', sha: main });
    const back = { ...at(repository), ref: 'heads/b', sha: head.parents[0]?.sha ?? '' };
    expect(await refusal(rest.git.updateRef(back))).toMatchObject({ status: 422, message: 'Update is not a fast forward' });
    await expect(rest.git.updateRef({ ...back, force: true })).resolves.toMatchObject({ status: 200 });
    expect(await refusal(rest.git.getRef({ ...at(repository), ref: 'heads/nowhere' }))).toMatchObject({ status: 404 });
  });

  it('says of an empty repository that it is empty', async () => {
    const repository = await standIn.seedRepository({});
    const { rest } = await createBotClient(standIn);

    expect(await refusal(rest.git.getRef({ ...at(repository), ref: 'heads/main' }))).toMatchObject({ status: 409, message: 'Git Repository is empty.' });
    expect(await refusal(rest.repos.getContent({ ...at(repository), path: 'README.md' }))).toMatchObject({ status: 404 });
  });
});

describe('files and comparisons', () => {
  it('are read from the same git', async () => {
    const repository = await standIn.seedRepository({ files: { 'a.txt': 'a\n', 'src/b.txt': 'b\n' } });
    await repository.commit({ branch: 'fix', message: 'Fix', files: { 'src/b.txt': 'c\n' } });
    const { rest } = await createBotClient(standIn);

    const file = await rest.repos.getContent({ ...at(repository), path: 'src/b.txt', ref: 'fix' });
    const raw = await rest.repos.getContent({ ...at(repository), path: 'src/b.txt', mediaType: { format: 'raw' } });
    const root = await rest.repos.getContent({ ...at(repository), path: '' });
    const compared = await rest.repos.compareCommitsWithBasehead({ ...at(repository), basehead: 'main...fix' });
    const commit = await rest.repos.getCommit({ ...at(repository), ref: 'fix' });
    const branch = await rest.repos.getBranch({ ...at(repository), branch: 'main' });

    expect(file.data).toMatchObject({ type: 'file', encoding: 'base64', size: 2 });
    expect(raw.data).toBe('b\n');
    expect((root.data as { name: string; type: string }[]).map(({ name, type }) => `${type} ${name}`)).toEqual(['file a.txt', 'dir src']);
    expect(compared.data).toMatchObject({ status: 'ahead', ahead_by: 1, files: [{ filename: 'src/b.txt', status: 'modified' }] });
    expect(commit.data).toMatchObject({ commit: { message: 'Fix' }, files: [{ filename: 'src/b.txt' }] });
    expect(branch.data).toMatchObject({ protected: false, commit: { sha: compared.data.base_commit.sha } });
  });

  it('come as a tarball after a redirect that needs no token', async () => {
    const repository = await standIn.seedRepository({ private: true, files: { 'a.txt': 'a\n' } });
    const token = await mintToken(standIn);

    const redirect = await fetch(`${standIn.apiUrl}/repos/${repository.fullName}/tarball/main`, {
      redirect: 'manual',
      headers: { authorization: `Bearer ${token}` },
    });
    const archive = await fetch(redirect.headers.get('location') ?? '');
    const file = join(directory, `${repository.name}.tar.gz`);
    await writeFile(file, Buffer.from(await archive.arrayBuffer()));

    expect(redirect.status).toBe(302);
    expect((await execa('tar', ['-tzf', file])).stdout).toMatch(/^acme-[^/]+-[0-9a-f]{7}\/a\.txt$/m);
  });
});
