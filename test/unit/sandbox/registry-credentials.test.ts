import { describe, expect, test } from 'vitest';
import { formatRegistryCredentials, readRegistryCredentials, registryCredentialsFor, registrySecretsOf } from '../../../src/sandbox/registry-credentials.ts';

const auth = Buffer.from('mayfly:a-password').toString('base64');
const file = (entry: unknown): string => JSON.stringify({ auths: { 'ghcr.io/acme': entry } });

describe('credentials for registries of images', () => {
  test('are for the runs of the repositories that they name, and of all of an owner', () => {
    const read = readRegistryCredentials(
      JSON.stringify({
        auths: { 'ghcr.io/acme': { auth, repositories: ['Acme/Shop'] }, 'registry.test:5000': { auth, repositories: ['acme/*', 'other/one'] } },
      }),
    );
    const credentials = 'credentials' in read ? read.credentials : [];
    const registriesOf = (repository: string) => registryCredentialsFor(credentials, repository).map(({ registry }) => registry);

    expect(registriesOf('acme/shop')).toEqual(['ghcr.io/acme', 'registry.test:5000']);
    expect(registriesOf('ACME/tools')).toEqual(['registry.test:5000']);
    expect(registriesOf('other/one')).toEqual(['registry.test:5000']);
    expect(registriesOf('other/two')).toEqual([]);
    expect(registriesOf('acme2/shop')).toEqual([]);
    expect(JSON.parse(formatRegistryCredentials(registryCredentialsFor(credentials, 'other/one')))).toEqual({ auths: { 'registry.test:5000': { auth } } });
    expect(credentials.flatMap(registrySecretsOf)).toContain('a-password');
  });

  test.each([
    ['{', 'it is not JSON'],
    ['[]', 'the file: it has to be {"auths": {...}}: helpers and other settings of skopeo are not used'],
    ['{"auths":{},"credHelpers":{"ghcr.io":"x"}}', 'the file: it has to be {"auths": {...}}: helpers and other settings of skopeo are not used'],
    [file({ auth }), 'auths.ghcr.io/acme.repositories: a list of owner/name or owner/*'],
    [file({ auth, repositories: [] }), 'auths.ghcr.io/acme.repositories: name the repositories that may use it, as owner/name or owner/*'],
    [file({ auth, repositories: ['*'] }), 'auths.ghcr.io/acme.repositories.0: neither owner/name nor owner/*'],
    [file({ auth: 'a password', repositories: ['a/b'] }), 'auths.ghcr.io/acme.auth: not base64, as `skopeo login` writes it'],
  ])('%s is refused with a reason', (text, reason) => {
    expect(readRegistryCredentials(text)).toEqual({ problem: reason });
  });
});
