/** A registry on loopback, as far as pulls go: https://github.com/opencontainers/distribution-spec/blob/main/spec.md */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { digestOf } from './layers.ts';
import type { LaidOutImage } from './layers.ts';

export interface ImageRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** Paths that were asked for, with their methods. */
  readonly requests: readonly string[];
  /** Makes an image known; `tag` is what it is called beside its digest. */
  push(repository: string, tag: string, ...images: readonly LaidOutImage[]): void;
  /** Sends this in the place of a blob, for ever if it is a number of bytes that never ends. */
  replace(digest: string, content: Buffer | 'endless'): void;
}

export interface ImageRegistryOptions {
  /** `name:password`; without it, everybody may pull. */
  readonly credentials?: string;
}

/** The first of the images has the tag, all have their digests. */
export async function startImageRegistry({ credentials }: ImageRegistryOptions = {}): Promise<ImageRegistry> {
  const known = new Map<string, { readonly mediaType: string; readonly content: Buffer | 'endless' }>();
  const requests: string[] = [];
  const expected = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`;
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (expected && request.headers.authorization !== expected) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="images"' }).end('{"errors":[{"code":"UNAUTHORIZED"}]}');
      return;
    }
    if (request.url === '/v2/') response.writeHead(200).end('{}');
    else answer(request, response, known.get((request.url ?? '').replace('/blobs/', '/manifests/')));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    push(repository, tag, ...images) {
      const [first] = images;
      if (first) known.set(`/v2/${repository}/manifests/${tag}`, { mediaType: first.mediaType, content: first.manifest });
      for (const { manifest, mediaType, blobs } of images) {
        known.set(`/v2/${repository}/manifests/${digestOf(manifest)}`, { mediaType, content: manifest });
        for (const [digest, content] of blobs) known.set(`/v2/${repository}/manifests/${digest}`, { mediaType: 'application/octet-stream', content });
      }
    },
    replace(digest, content) {
      for (const path of known.keys()) if (path.endsWith(digest)) known.set(path, { mediaType: 'application/octet-stream', content });
    },
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  found: { readonly mediaType: string; readonly content: Buffer | 'endless' } | undefined,
): void {
  if (!found) {
    response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
    return;
  }
  const { mediaType, content } = found;
  if (content !== 'endless') {
    response.writeHead(200, { 'content-type': mediaType, 'content-length': content.length }).end(request.method === 'HEAD' ? undefined : content);
    return;
  }
  response.writeHead(200, { 'content-type': mediaType });
  const chunk = Buffer.alloc(2 ** 16, 'x');
  const more = (): void => {
    while (!response.destroyed && response.write(chunk)) continue;
  };
  response.on('drain', more);
  more();
}
