/** The environment of every command in the guest: each tool's own name for the proxy, the certificates, the registry. */

export interface GuestEnvironmentOptions {
  /** Null: npm's own. */
  readonly registry: string | null;
  /** What is trusted beside the usual certificates, and all certificates in one file. */
  readonly ca: { readonly file: string; readonly bundle: string };
}

/** The guest's end of the reverse forward. */
const proxyHost = '127.0.0.1';
const proxyPort = 3128;
const proxy = `http://${proxyHost}:${proxyPort}`;
/** The guest's own servers: tests start them all the time. */
const direct = 'localhost,127.0.0.1,::1';

export function createGuestEnvironment({ registry, ca }: GuestEnvironmentOptions): Record<string, string> {
  return { ...proxySettings(), ...(registry === null ? {} : registrySettings(registry)), ...caSettings(ca) };
}

/** No ALL_PROXY: only HTTP gets out, and clients that read it take it for SOCKS, FTP and WebSockets as well. */
function proxySettings(): Record<string, string> {
  const java = ['http', 'https'].flatMap((scheme) => [`-D${scheme}.proxyHost=${proxyHost}`, `-D${scheme}.proxyPort=${proxyPort}`]);
  return {
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    NO_PROXY: direct,
    http_proxy: proxy,
    https_proxy: proxy,
    no_proxy: direct,
    // Node's fetch and http read the variables above only with this.
    NODE_USE_ENV_PROXY: '1',
    // Otherwise npm fetches 3 MB about itself, seconds under emulation.
    npm_config_update_notifier: 'false',
    pnpm_config_update_notifier: 'false',
    // Yarn 2 and later read only their own.
    YARN_HTTP_PROXY: proxy,
    YARN_HTTPS_PROXY: proxy,
    // Otherwise it tries to report on itself, which the gateway would refuse and the report would list.
    YARN_ENABLE_TELEMETRY: '0',
    JAVA_TOOL_OPTIONS: [...java, '-Dhttp.nonProxyHosts=localhost|127.*|[::1]'].join(' '),
  };
}

function registrySettings(registry: string): Record<string, string> {
  return {
    npm_config_registry: registry,
    // pnpm 11 and later read only their own.
    pnpm_config_registry: registry,
    COREPACK_NPM_REGISTRY: registry.replace(/\/$/, ''),
    YARN_REGISTRY: registry,
    YARN_NPM_REGISTRY_SERVER: registry.replace(/\/$/, ''),
    // Yarn 2 and later refuse http:// for a host that is not named here.
    ...(registry.startsWith('http://') ? { YARN_UNSAFE_HTTP_WHITELIST: new URL(registry).hostname } : {}),
  };
}

function caSettings({ file, bundle }: { file: string; bundle: string }): Record<string, string> {
  const readers = [
    'SSL_CERT_FILE',
    'REQUESTS_CA_BUNDLE',
    'PIP_CERT',
    'CURL_CA_BUNDLE',
    'GIT_SSL_CAINFO',
    'CARGO_HTTP_CAINFO',
    'AWS_CA_BUNDLE',
    'BUNDLE_SSL_CA_CERT',
    'YARN_HTTPS_CA_FILE_PATH',
  ];
  return {
    ...Object.fromEntries(readers.map((name) => [name, bundle])),
    // Added to Node's own list at every start of Node: the short file, not the bundle.
    NODE_EXTRA_CA_CERTS: file,
  };
}
