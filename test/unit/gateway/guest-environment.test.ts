import { describe, expect, it } from 'vitest';
import { createGuestEnvironment } from '../../../src/gateway/guest-environment.ts';

const ca = { file: '/extra.crt', bundle: '/bundle.crt' };

describe('createGuestEnvironment', () => {
  it('tells every tool the proxy, in both cases, and leaves the guest itself out', () => {
    const environment = createGuestEnvironment({ registry: null, ca });

    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'YARN_HTTP_PROXY', 'YARN_HTTPS_PROXY'])
      expect(environment).toMatchObject({ [name]: 'http://127.0.0.1:3128' });
    expect(environment).toMatchObject({ NO_PROXY: 'localhost,127.0.0.1,::1', no_proxy: 'localhost,127.0.0.1,::1', NODE_USE_ENV_PROXY: '1' });
    expect(environment['JAVA_TOOL_OPTIONS']).toContain('-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128');
  });

  it('says nothing of registries when there is nothing to say', () => {
    const names = Object.keys(createGuestEnvironment({ registry: null, ca }));

    expect(names.filter((name) => /REGISTRY|ALL_PROXY/i.test(name))).toEqual([]);
  });

  it('points each tool at the certificates', () => {
    const environment = createGuestEnvironment({ registry: null, ca });

    expect(environment['NODE_EXTRA_CA_CERTS']).toBe('/extra.crt');
    for (const name of ['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'PIP_CERT', 'CURL_CA_BUNDLE', 'GIT_SSL_CAINFO', 'CARGO_HTTP_CAINFO'])
      expect(environment).toMatchObject({ [name]: '/bundle.crt' });
  });

  it('names the registry to npm, pnpm, corepack and both yarns', () => {
    expect(createGuestEnvironment({ registry: 'http://npm.corp.example:4873/npm/', ca })).toMatchObject({
      npm_config_registry: 'http://npm.corp.example:4873/npm/',
      pnpm_config_registry: 'http://npm.corp.example:4873/npm/',
      COREPACK_NPM_REGISTRY: 'http://npm.corp.example:4873/npm',
      YARN_NPM_REGISTRY_SERVER: 'http://npm.corp.example:4873/npm',
      YARN_UNSAFE_HTTP_WHITELIST: 'npm.corp.example',
    });
  });
});
