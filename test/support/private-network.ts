/**
 * A network of the operator's own: one host of it, whose name nobody but its proxy knows and whose authority nobody but its
 * members trust. The proxy asks for a password, the host for a token.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer as createWebServer } from 'node:http';
import { createServer } from 'node:https';
import { connect } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { createCertificateAuthority } from './gateway/certificate-authority.ts';
import { closeServer } from './gateway/world.ts';

export interface PrivateNetwork extends AsyncDisposable {
  /** Name and port of the host. */
  readonly place: string;
  /** The operator's environment of whoever is in it; the token is for the repositories named. */
  readonly settings: Readonly<Record<string, string>>;
  /** `authorization` of each request to the host, and of each that the proxy let through. */
  readonly seen: { readonly host: string[]; readonly proxy: string[] };
}

export interface NetworkSecrets {
  readonly token: string;
  readonly proxyPassword: string;
  /** Of a registry of images. */
  readonly imagePassword: string;
}

const name = 'packages.test.example';

/** `before` is what the answer to the host's request of that number waits for, from 1 on. */
export async function openPrivateNetwork(
  { token, proxyPassword, imagePassword }: NetworkSecrets,
  repositories: readonly string[],
  before: (request: number) => Promise<void> = async () => {},
): Promise<PrivateNetwork> {
  await using opening = new AsyncDisposableStack();
  const authority = opening.use(createCertificateAuthority());
  const seen: PrivateNetwork['seen'] = { host: [], proxy: [] };
  const open = async (server: Server): Promise<number> => {
    opening.defer(() => closeServer(server));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const host = createServer(authority.issue(name), ({ headers }, response) => {
    seen.host.push(headers.authorization ?? '');
    response.writeHead(headers.authorization === `Bearer ${token}` ? 200 : 401);
    // Nobody on the way gives up an answer that goes on.
    const waiting = setInterval(() => response.write('.'), 1000);
    response.once('close', () => clearInterval(waiting));
    void before(seen.host.length).then(() => response.end('packages'));
  });
  const port = await open(host);
  const proxy = createWebServer().on('connect', (request, client) => {
    const asked = request.headers['proxy-authorization'] ?? '';
    client.on('error', () => {});
    if (request.url !== `${name}:${port}` || asked !== `Basic ${btoa(`mayfly:${proxyPassword}`)}`) return client.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    seen.proxy.push(asked);
    const there = connect(port, '127.0.0.1').on('error', () => client.destroy());
    client.write('HTTP/1.1 200 OK\r\n\r\n');
    return client.pipe(there).pipe(client);
  });
  const proxyPort = await open(proxy);
  const place = `${name}:${port}`;
  const credentialsFile = join(authority.folder, 'credentials.json');
  const entry = { host: place, pathPrefix: '/', header: 'Authorization', value: `Bearer ${token}`, repositories };
  await writeFile(credentialsFile, JSON.stringify([entry]), { mode: 0o600 });
  const imageAuthFile = join(authority.folder, 'image-auth.json');
  const auths = { 'images.test.example': { auth: btoa(`mayfly:${imagePassword}`), repositories } };
  await writeFile(imageAuthFile, JSON.stringify({ auths }), { mode: 0o600 });
  const settings = {
    HTTPS_PROXY: `http://mayfly:${proxyPassword}@127.0.0.1:${proxyPort}`,
    NO_PROXY: '127.0.0.1',
    NODE_EXTRA_CA_CERTS: authority.caFile,
    MAYFLY_CREDENTIALS_FILE: credentialsFile,
    MAYFLY_IMAGE_AUTH_FILE: imageAuthFile,
  };
  const parts = opening.move();
  return { place, settings, seen, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}
