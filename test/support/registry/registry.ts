/** A registry of every kind on loopback, for tools that cannot reach the real ones in a test. Ends with the test. */
import { createServer as createPlainServer } from 'node:http';
import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer } from 'node:https';
import { onTestFinished } from 'vitest';
import { createCertificateAuthority } from '../gateway/certificate-authority.ts';
import { listen } from '../gateway/world.ts';
import { tinyPackages } from './packages.ts';
import type { Resources } from './packages.ts';

/** A name that only the gateway under test can resolve. */
export const registryName = 'registry.test.example';

export interface Registry {
  /** No slash at the end. */
  readonly url: string;
  /** PEM file of the authority that a client has to trust; null for plain HTTP. */
  readonly caFile: string | null;
  readonly seen: IncomingMessage[];
}

/** With TLS and an authority of its own, as a company has it; with a token, only for whoever sends it. */
export async function serveRegistry(resources: (url: string) => Resources = tinyPackages, token: string | null = null): Promise<Registry> {
  const authority = createCertificateAuthority();
  onTestFinished(() => authority[Symbol.dispose]());
  return await serve((listener) => createServer(authority.issue(registryName), listener), { scheme: 'https', caFile: authority.caFile, resources, token });
}

/** Without TLS, as Debian's mirrors are. */
export async function servePlainRegistry(resources: (url: string) => Resources = tinyPackages): Promise<Registry> {
  return await serve(createPlainServer, { scheme: 'http', caFile: null, resources, token: null });
}

async function serve(
  create: (listener: RequestListener) => ReturnType<typeof createPlainServer>,
  { scheme, caFile, resources, token }: { scheme: string; caFile: string | null; resources: (url: string) => Resources; token: string | null },
): Promise<Registry> {
  const seen: IncomingMessage[] = [];
  let served: Resources = {};
  const server = create((request, response) => {
    seen.push(request);
    if (token !== null && request.headers.authorization !== `Bearer ${token}`) return response.writeHead(401).end('who are you?');
    const found = served[new URL(request.url ?? '', 'http://x').pathname]?.();
    if (!found) return response.writeHead(404).end('not here');
    return response.writeHead(200, { 'content-type': found.type }).end(found.body);
  });
  const url = `${scheme}://${registryName}:${await listen(server)}`;
  served = resources(url);
  return { url, caFile, seen };
}
