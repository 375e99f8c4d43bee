/**
 * The two files that the registration leaves: the private key, and the environment of Mayfly. Both are new, mode 0600.
 * Nothing is ever overwritten: the old key may be the only one that a running worker has.
 */
import { access, constants, lstat, mkdir, open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { FixError } from '../errors.ts';

export interface CredentialFiles {
  /** Absolute paths. */
  readonly keyFile: string;
  readonly environmentFile: string;
}

export interface Credentials {
  readonly slug: string;
  /** PEM. */
  readonly privateKey: string;
  /** By the name that config.ts reads; PRIVATE_KEY_PATH is added. */
  readonly variables: Readonly<Record<string, string>>;
}

/**
 * Makes the folder and looks, before GitHub is asked for anything, whether the files can be written.
 * Throws `credentials_exist`, or `usage` for a folder that cannot be used.
 */
export async function planFiles(directory: string): Promise<CredentialFiles> {
  const folder = resolve(directory);
  // systemd, compose and a shell agree on values of these characters, without any quotes.
  if (!isPlain(folder)) throw refuseFolder('its path may hold letters, digits and . _ - + @ / only', folder);
  const files = { keyFile: join(folder, 'mayfly.pem'), environmentFile: join(folder, 'mayfly.env') };
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await access(folder, constants.W_OK);
  } catch (cause) {
    throw refuseFolder('it cannot be written', folder, cause);
  }
  for (const file of [files.keyFile, files.environmentFile]) {
    // Also a link that leads nowhere is a file that O_EXCL refuses.
    if ((await lstat(file).catch(() => null)) !== null) throw new FixError('credentials_exist', { details: { file } });
  }
  return files;
}

/** The key first: without it the other file is worth nothing. Throws `credentials_unwritten`, `credentials_exist`. */
export async function writeCredentials(files: CredentialFiles, { slug, privateKey, variables }: Credentials): Promise<void> {
  const lines = Object.entries({ ...variables, PRIVATE_KEY_PATH: files.keyFile }).map(([name, value]) => `${name}=${quote(name, value)}`);
  const head = [`# The GitHub App ${slug}, as \`mayfly setup github\` registered it. For systemd (EnvironmentFile) and compose (env_file).`];
  const foot = ['# Still needed: REDIS_URL, MAYFLY_MODEL and the key of its vendor, for example ANTHROPIC_API_KEY.'];
  await writeNew(files.keyFile, privateKey.endsWith('\n') ? privateKey : `${privateKey}\n`);
  await writeNew(files.environmentFile, `${[...head, ...lines, ...foot].join('\n')}\n`);
}

const isPlain = (text: string): boolean => /^[\w./@:+=~-]+$/.test(text);

/** Single quotes mean the same to all three readers as long as there is none inside. */
function quote(name: string, value: string): string {
  if (isPlain(value)) return value;
  if (/^[\x20-\x7e]+$/.test(value) && !value.includes("'")) return `'${value}'`;
  throw new FixError('credentials_unwritten', { details: { reason: `${name} holds characters that no environment file can` } });
}

/** O_EXCL: neither a file that is there nor a link that leads elsewhere. On the disk when it resolves. */
async function writeNew(file: string, text: string): Promise<void> {
  try {
    await using handle = await open(file, 'wx', 0o600);
    await handle.writeFile(text);
    await handle.sync();
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    throw new FixError(exists ? 'credentials_exist' : 'credentials_unwritten', { cause, details: { file } });
  }
}

function refuseFolder(why: string, folder: string, cause?: unknown): FixError {
  return new FixError('usage', { cause, details: { reason: `--out: ${why}: ${folder}` } });
}
