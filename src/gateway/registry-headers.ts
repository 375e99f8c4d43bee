/**
 * What a package registry is told about the client after setup. Headers are free text that a registry writes down - PyPI
 * publishes user agents, https://docs.pypi.org/api/bigquery/ - so none of the guest's goes on: these are put in their place.
 */
import type { GuestRequest } from './tls-server.ts';

export const uncompressed = ['accept-encoding', 'identity'] as const;

const userAgent = 'mayfly';
/** The forms that registries have beside the one that everybody gets. A client that asks for one is given it, in our words. */
const forms = [
  // https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md
  { named: 'application/vnd.npm.install-v1+json', accept: 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*' },
  // https://packaging.python.org/en/latest/specifications/simple-repository-api/#json-based-simple-api-for-python-package-indexes
  { named: 'application/vnd.pypi.simple.v1+json', accept: 'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.2, text/html; q=0.1' },
  { named: 'application/vnd.pypi.simple.v1+html', accept: 'application/vnd.pypi.simple.v1+html, text/html; q=0.1' },
  { named: 'application/json', accept: 'application/json, */*; q=0.1' },
] as const;
const codings = ['br', 'deflate', 'gzip', 'zstd'];

/** Names and values in turn. What may not be compressed is asked for as it is. */
export function registryHeaders({ headers }: Pick<GuestRequest, 'headers'>, mayCompress: boolean): readonly string[] {
  const wanted = (headers.accept ?? '').toLowerCase();
  const offered = tokensOf(headers['accept-encoding']);
  const coding = mayCompress ? codings.filter((name) => offered.has(name)).join(', ') : '';
  const accept = forms.find(({ named }) => wanted.includes(named))?.accept ?? '*/*';
  return ['user-agent', userAgent, 'accept', accept, ...(coding === '' ? uncompressed : ['accept-encoding', coding])];
}

/** Without those that are named to be left out: `gzip;q=0`. */
function tokensOf(value: string | readonly string[] | undefined): ReadonlySet<string> {
  const parts = String(value ?? '')
    .toLowerCase()
    .split(',')
    .filter((part) => !/;\s*q=0(?:\.0*)?\s*$/.test(part));
  return new Set(parts.map((part) => (part.split(';', 1)[0] ?? '').trim()));
}
