/** How this host itself reaches GitHub and the model: through the operator's proxy, when there is one. */
import { Agent, EnvHttpProxyAgent, fetch as undiciFetch } from 'undici';
import type { RequestInfo, RequestInit } from 'undici';

export interface HostFetchOptions {
  /** `http://proxy:3128`; null goes straight. */
  readonly proxy: string | null;
  /** Hosts that are reached without it, as in NO_PROXY. */
  readonly noProxy: string | null;
}

/** A fetch with connections of its own; nothing global is changed. Idle connections keep no process alive. */
export function createHostFetch({ proxy, noProxy }: HostFetchOptions): typeof fetch {
  const direct = ['localhost', '127.0.0.1', '::1', ...(noProxy === null ? [] : [noProxy])].join(',');
  const dispatcher = proxy === null ? new Agent() : new EnvHttpProxyAgent({ httpProxy: proxy, httpsProxy: proxy, noProxy: direct });
  // Undici's types and those of the platform differ in name only: Node's own fetch is this code.
  return ((input: RequestInfo, init?: RequestInit) => undiciFetch(input, { ...init, dispatcher })) as unknown as typeof fetch;
}
