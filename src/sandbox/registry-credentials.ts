/**
 * What the operator gives to ask registries of images with. A credential is there only for the runs of the repositories
 * that it names: whoever can name an image could else read every private one.
 */
import { z } from 'zod';

export interface RegistryCredential {
  /** `host`, or `host/beginning/of/a/path`, as skopeo looks it up. */
  readonly registry: string;
  /** `user:password`, in base64. */
  readonly auth: string;
  /** `owner/name` or `owner/*`, lower case. */
  readonly repositories: readonly string[];
}

const problem = (error: string): { error: string } => ({ error });

const Entry = z.strictObject({
  auth: z.base64(problem('not base64, as `skopeo login` writes it')).min(4).max(16_384),
  repositories: z
    .array(z.string().regex(/^[\w-]{1,100}\/(?:[\w.-]{1,100}|\*)$/, problem('neither owner/name nor owner/*')), problem('a list of owner/name or owner/*'))
    .min(1, problem('name the repositories that may use it, as owner/name or owner/*'))
    .transform((names) => names.map((name) => name.toLowerCase())),
});
const AuthFile = z.strictObject(
  { auths: z.record(z.string().regex(/^[\w.-]+(?::\d{1,5})?(?:\/[\w./-]+)?$/, problem('not the name of a registry')), Entry) },
  problem('it has to be {"auths": {...}}: helpers and other settings of skopeo are not used'),
);

type Read = { readonly credentials: readonly RegistryCredential[] } | { readonly problem: string };

/** What `skopeo login --authfile` writes, each entry with `repositories`; or what is wrong with it, and never a word of a secret. */
export function readRegistryCredentials(text: string): Read {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // What the parser says quotes the text.
    return { problem: 'it is not JSON' };
  }
  const parsed = AuthFile.safeParse(value);
  if (!parsed.success) return { problem: parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`).join('; ') };
  return { credentials: Object.entries(parsed.data.auths).map(([registry, entry]) => ({ registry, ...entry })) };
}

/** A repository by its full name, or one of an owner's. */
export function registryCredentialsFor(credentials: readonly RegistryCredential[], repository: string): readonly RegistryCredential[] {
  const name = repository.toLowerCase();
  const all = `${name.slice(0, name.indexOf('/'))}/*`;
  return credentials.filter(({ repositories }) => repositories.includes(name) || repositories.includes(all));
}

/** As skopeo reads them. */
export const formatRegistryCredentials = (credentials: readonly RegistryCredential[]): string =>
  JSON.stringify({ auths: Object.fromEntries(credentials.map(({ registry, auth }) => [registry, { auth }])) });

/** The texts that must be seen nowhere. */
export function registrySecretsOf({ auth }: RegistryCredential): readonly string[] {
  const decoded = Buffer.from(auth, 'base64').toString('utf8');
  return [auth, decoded, decoded.slice(decoded.indexOf(':') + 1)].filter((text) => text.length >= 8);
}
