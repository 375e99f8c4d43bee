/** Which HTTP a client spoke with the gateway where it looks at requests: neither the ledger nor the registry can tell. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, Server } from 'node:http';
import { Server as SecureServer } from 'node:https';
import { onTestFinished } from 'vitest';

/** Until the test ends. The registries of these tests are in the same process, but speak HTTP/1.1 and get no whole addresses. */
export function hearVersions(): ReadonlySet<string> {
  const heard = new Set<string>();
  const onHttp2 = (): void => void heard.add('HTTP/2');
  const onHttp1 = (message: unknown): void => {
    const { request, server } = message as { request: IncomingMessage; server: Server };
    const isSecure = 'encrypted' in request.socket;
    if (isSecure ? !(server instanceof SecureServer) : request.url?.startsWith('http://')) heard.add('HTTP/1.1');
  };
  subscribe('http2.server.stream.start', onHttp2);
  subscribe('http.server.request.start', onHttp1);
  onTestFinished(() => {
    unsubscribe('http2.server.stream.start', onHttp2);
    unsubscribe('http.server.request.start', onHttp1);
  });
  return heard;
}
