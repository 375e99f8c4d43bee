/**
 * What the operator gives runs to ask private hosts with: put into requests on the host, never seen in a VM. A credential
 * opens no host, and is there only for the repositories that it names.
 */
import { z } from 'zod';
import { isPlainPath, readingMethods } from './host-rule.ts';
import { defaultPorts } from './policy.ts';
import type { RequestPath } from './request-path.ts';
import { parseAuthority } from './target.ts';
import type { Target } from './target.ts';

export interface CredentialRepository {
  /** `owner/name`, lower case. */
  readonly name: string;
  /** Null: the first repository of that name. */
  readonly id: number | null;
}

export interface Credential {
  readonly target: Target;
  readonly methods: readonly string[];
  /** Without a slash at its end; empty is all. */
  readonly pathPrefix: string;
  /** Lower case. */
  readonly header: string;
  readonly value: string;
  readonly repositories: readonly CredentialRepository[];
}

/** Headers that say how a request is framed or where it goes. */
const framing = /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*)$/;
const problem = (error: string): { error: string } => ({ error });

const Entry = z.strictObject({
  host: z.string().transform((text, context) => {
    const target = parseAuthority(text, 443);
    if ('host' in target) return target;
    context.addIssue('not the name of a host, such as npm.example.org or npm.example.org:8443');
    return z.NEVER;
  }),
  methods: z.array(z.string().regex(/^[A-Z]{1,20}$/, problem('not a method, such as GET'))).default([...readingMethods]),
  pathPrefix: z
    .string(problem('say below which path of the host, such as /npm/; / is the whole host'))
    .refine(isPlainPath, problem('not the beginning of a path, such as /npm/, in plain characters'))
    .transform((path) => path.replace(/\/$/, '')),
  header: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,63}$/i, problem('not the name of a header'))
    .transform((name) => name.toLowerCase())
    .refine((name) => !framing.test(name), problem('this header cannot be a credential')),
  value: z.string().regex(/^[!-~](?:[ -~]{6,4094}[!-~])$/, problem('between 8 and 4096 printable characters of ASCII, without a space at its ends')),
  repositories: z
    .array(z.string().regex(/^[\w-]{1,100}\/[\w.-]{1,100}(?:#[1-9]\d{0,14})?$/, problem('not owner/name or owner/name#id')))
    .min(1, problem('name the repositories that may use it, as owner/name'))
    .transform((texts) =>
      texts.map((text): CredentialRepository => {
        const [name = '', id] = text.toLowerCase().split('#');
        return { name, id: id === undefined ? null : Number(id) };
      }),
    ),
});
const Entries = z.array(Entry).max(200);

type Read = { readonly credentials: readonly Credential[] } | { readonly problem: string };

/** The entries of the operator's file, or what is wrong with it; never a word of a value. */
export function readCredentials(text: string): Read {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // What the parser says quotes the text.
    return { problem: 'it is not JSON' };
  }
  const parsed = Entries.safeParse(value);
  if (!parsed.success) return { problem: parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the list'}: ${message}`).join('; ') };
  return { credentials: parsed.data.map(({ host, ...rest }) => ({ target: host, ...rest })) };
}

/** The texts that must be seen nowhere: the value, and what of it is secret by itself. */
export function secretsOf({ value }: Pick<Credential, 'value'>): readonly string[] {
  const [, scheme = '', rest = ''] = /^(\S+) +(\S.*)$/.exec(value) ?? [];
  const decoded = scheme.toLowerCase() === 'basic' ? Buffer.from(rest, 'base64').toString('utf8') : '';
  const password = decoded.slice(decoded.indexOf(':') + 1);
  return [...new Set([value, rest, decoded, password])].filter((text) => text.length >= 8);
}

/** What it is for, for people; never a word of its value. */
export function describeCredential({ methods, target, pathPrefix }: Credential): string {
  const { host, port } = target;
  return `${methods.join(', ')} ${host}${port === defaultPorts.connect ? '' : `:${port}`}${pathPrefix}`;
}

export const isFor = (credential: Credential, target: Target): boolean => credential.target.host === target.host && credential.target.port === target.port;

/** The longest prefix wins. Written and decoded path both have to be below it: a server may take either for the path. */
export function chooseCredential(credentials: readonly Credential[], asked: { target: Target; method: string; requestPath: RequestPath }): Credential | null {
  const { target, method, requestPath } = asked;
  const isBelow = ({ pathPrefix }: Credential): boolean =>
    [requestPath.path, requestPath.written].every((path) => path === pathPrefix || path.startsWith(`${pathPrefix}/`));
  const fitting = credentials.filter((credential) => isFor(credential, target) && credential.methods.includes(method) && isBelow(credential));
  return fitting.toSorted((left, right) => right.pathPrefix.length - left.pathPrefix.length)[0] ?? null;
}
