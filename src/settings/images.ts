/** Names of images, and whether the operator allows where they come from. */

export interface ImageName {
  /** `ghcr.io/acme/tools`. */
  readonly repository: string;
  /** A tag; or `sha256:` and a digest, which goes before a tag beside it. */
  readonly version: string;
}

const host = /^[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?(?::\d{1,5})?$/;
const part = /^[a-z0-9]+(?:(?:\.|_{1,2}|-{1,10})[a-z0-9]+)*$/;
const maxLength = 400;

/** As in `registry/name:tag` or `registry/name@sha256:...`; the registry is never left out. Null for anything else. */
export function parseImageName(text: string): ImageName | null {
  if (text.length > maxLength) return null;
  const [, named = '', digest] = /^([^@]+)(?:@(sha256:[0-9a-f]{64}))?$/.exec(text) ?? [];
  const [, repository = '', tag] = /^(.+?)(?::(\w[\w.-]{0,127}))?$/.exec(named) ?? [];
  const [registry = '', ...path] = repository.split('/');
  const isRegistry = host.test(registry) && (registry === 'localhost' || /[.:]/.test(registry));
  const version = digest ?? tag;
  return isRegistry && path.length > 0 && path.every((one) => part.test(one)) && version !== undefined ? { repository, version } : null;
}

/** The operator's rule that covers the name: a registry, or one and the beginning of a path; null when none does. */
export function findRegistryRule({ repository }: ImageName, rules: readonly string[]): string | null {
  return rules.find((rule) => `${repository}/`.startsWith(`${rule.replace(plainHttp, '').replace(/\/$/, '')}/`)) ?? null;
}

/** Before a rule: the registry is spoken to without TLS. */
export const plainHttp = /^http:\/\//;
