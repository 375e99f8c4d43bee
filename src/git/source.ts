/** Where a mirror comes from: a server over HTTP, or a directory of the person who runs us. */
import { stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { FixError } from '../errors.ts';
import { runGit } from './git-process.ts';
import type { GitEnding } from './git-process.ts';
import type { MirrorSource } from './mirror.ts';

/** A source with everything that git needs to reach it. */
export interface Remote {
  readonly url: string;
  readonly protocols: 'http:https' | 'file';
  readonly environment: Readonly<Record<string, string>>;
  readonly config: Readonly<Record<string, string>>;
  /** A failure of git as details for the log, without the token. */
  details(ending: GitEnding): Record<string, unknown>;
}

const commitId = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i;

/** Checks the address of a source. `safeDirectoryFile` is a git configuration that trusts directories of other users. */
export async function openRemote(source: MirrorSource, options: { environment: Readonly<Record<string, string>>; safeDirectoryFile: string }): Promise<Remote> {
  const server = /^https?:/.test(source.url);
  const known = server ? isPlainUrl(source.url) : isAbsolute(source.url) && (await isDirectory(source.url));
  if (!known) throw new FixError('repository_unreachable', { details: { reason: server ? 'not a plain address' : 'there is no such directory' } });
  const basic = source.token === null ? null : Buffer.from(`x-access-token:${source.token}`).toString('base64');
  const secrets = [source.token, basic].filter((secret) => secret !== null);
  return {
    url: source.url,
    protocols: server ? 'http:https' : 'file',
    // upload-pack of a local directory takes no setting from GIT_CONFIG_COUNT, only from a file.
    environment: server ? options.environment : { ...options.environment, GIT_CONFIG_GLOBAL: options.safeDirectoryFile },
    config: basic === null ? {} : { [`http.${source.url}.extraHeader`]: `Authorization: Basic ${basic}` },
    details: ({ exitCode, stderr }) => ({ exitCode, stderr: secrets.reduce((text, secret) => text.replaceAll(secret, '[secret]'), stderr) }),
  };
}

/**
 * The commit that a reference means at the source now. Asked first, even when the mirror has the commit: it proves that
 * the token still opens this repository.
 */
export async function resolveReference(remote: Remote, ref: string | null, signal: AbortSignal): Promise<string> {
  if (ref !== null && !isReference(ref)) throw new FixError('base_unknown');
  const names = ref === null ? ['HEAD'] : [ref, `refs/heads/${ref}`, `refs/tags/${ref}`];
  // A pattern of ls-remote is a glob and matches at the end of a name: what it finds is compared again below.
  const patterns = ['HEAD', ...names, ...names.map((name) => `${name}^{}`)];
  const listed = await runGit({ ...remote, arguments: ['ls-remote', '--quiet', '--end-of-options', remote.url, ...patterns], maxOutputBytes: 2 ** 24, signal });
  if (listed.exitCode !== 0) throw new FixError('repository_unreachable', { details: remote.details(listed) });
  const found = new Map(listed.stdout.split('\n').map((line) => [line.slice(line.indexOf('\t') + 1), line.slice(0, line.indexOf('\t'))]));
  const sha = names.map((name) => found.get(`${name}^{}`) ?? found.get(name)).find((sha) => sha !== undefined);
  if (sha !== undefined) return sha;
  if (ref !== null && commitId.test(ref)) return ref.toLowerCase();
  const local = ref !== null && remote.protocols === 'file' ? await resolveLocally(remote, ref, signal) : null;
  if (local !== null) return local;
  throw new FixError(found.has('HEAD') ? 'base_unknown' : 'repository_empty');
}

/** What a person types at a checkout of their own: `HEAD~2`, `a1b2c3d`, `origin/main`. */
async function resolveLocally(remote: Remote, ref: string, signal: AbortSignal): Promise<string | null> {
  const parsed = await runGit({ ...remote, arguments: ['-C', remote.url, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`], signal });
  const sha = parsed.stdout.trim();
  return parsed.exitCode === 0 && commitId.test(sha) ? sha : null;
}

/** A refusal of git has only its text; LC_ALL=C keeps it in English. */
export function failureOf(remote: Remote, ending: GitEnding): FixError {
  const full = /No space left on device|File too large|Disk quota exceeded/.test(ending.stderr);
  const unknown = /not our ref|couldn't find remote ref|unadvertised object/.test(ending.stderr);
  const code = full ? 'disk_full' : unknown ? 'base_unknown' : 'repository_unreachable';
  return new FixError(code, { details: remote.details(ending) });
}

function isPlainUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && url.username === '' && url.password === '' && url.hash === '' && url.search === '';
}

function isReference(ref: string): boolean {
  return ref !== '' && ref.length <= 1024 && !/\p{Cc}/u.test(ref);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
