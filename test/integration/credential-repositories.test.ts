/** Credentials are for a repository, not for whoever has its name. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { credentialsFor, requireSame } from '../../src/gateway/credential-repositories.ts';
import { readCredentials } from '../../src/gateway/credentials.ts';
import type { Credential } from '../../src/gateway/credentials.ts';

const entry = { host: 'npm.example.org', pathPrefix: '/private/', header: 'Authorization', value: 'Bearer t0ken-t0ken' };

function read(...repositories: readonly string[]): readonly Credential[] {
  const found = readCredentials(JSON.stringify([{ ...entry, repositories }]));
  if ('problem' in found) throw new Error(found.problem);
  return found.credentials;
}

async function openState(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'mayfly-pins-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return join(directory, 'credential-repositories');
}

const refused = { code: 'credential_repository' };

describe('credentials', () => {
  it('are for the repositories that they name, whatever the case, and for no other', async () => {
    const state = await openState();
    const credentials = read('Acme/App');

    expect(await credentialsFor(credentials, { name: 'acme/APP', id: 7 }, state)).toEqual(credentials);
    expect(await credentialsFor(credentials, { name: 'acme/app2', id: 8 }, state)).toEqual([]);
    expect(await credentialsFor(credentials, null, state)).toEqual([]);
    expect(await readdir(state)).toEqual(['acme+app']);
  });

  it('are for the repository that came first with the name, and refused to another that has it later', async () => {
    const state = await openState();
    const credentials = read('acme/app');
    await credentialsFor(credentials, { name: 'acme/app', id: 7 }, state);

    await expect(credentialsFor(credentials, { name: 'Acme/App', id: 8 }, state)).rejects.toMatchObject({ ...refused, details: { id: 8, expectedId: 7 } });
    expect(await credentialsFor(credentials, { name: 'acme/app', id: 7 }, state)).toEqual(credentials);
  });

  it('know the right one from the first run on where the operator gives its id', async () => {
    const state = await openState();
    const credentials = read('acme/app#7', 'acme/tools');

    await expect(credentialsFor(credentials, { name: 'acme/app', id: 8 }, state)).rejects.toMatchObject(refused);
    expect(await credentialsFor(credentials, { name: 'acme/app', id: 7 }, state)).toHaveLength(1);
    await expect(readdir(state)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('are for one of those that come at the same moment', async () => {
    const state = await openState();
    const credentials = read('acme/app');

    const all = await Promise.allSettled(Array.from({ length: 20 }, (_, id) => credentialsFor(credentials, { name: 'acme/app', id: id + 1 }, state)));

    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await readdir(state)).toEqual(['acme+app']);
  });

  it('of registries of images are told whether the repository is still the one that came first', async () => {
    const state = await openState();
    await requireSame({ name: 'acme/app', id: 7 }, state);

    await expect(requireSame({ name: 'Acme/App', id: 8 }, state)).rejects.toMatchObject({ ...refused, details: { id: 8, expectedId: 7 } });
    await expect(credentialsFor(read('acme/app'), { name: 'acme/app', id: 8 }, state)).rejects.toMatchObject(refused);
    await expect(requireSame({ name: 'acme/app', id: 7 }, state)).resolves.toBeUndefined();
  });

  it('are given to nobody when nothing can be noted down', async () => {
    await expect(credentialsFor(read('acme/app'), { name: 'acme/app', id: 7 }, '/dev/null/x')).rejects.toThrow('ENOTDIR');
  });
});
