/**
 * Which repository a credential is for. The operator writes names, since people read names; but a name passes to a
 * stranger when its repository is renamed or its owner deleted. So a name means the first repository that came with it.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FixError } from '../errors.ts';
import type { Credential } from './credentials.ts';

export interface RepositoryIdentity {
  /** `owner/name`. */
  readonly name: string;
  /** GitHub's, which never passes on. */
  readonly id: number;
}

/** What of the credentials a run of this repository may use; null is one of no known repository. Throws `credential_repository`. */
export async function credentialsFor(
  credentials: readonly Credential[],
  repository: RepositoryIdentity | null,
  directory: string,
): Promise<readonly Credential[]> {
  if (repository === null) return [];
  const wanted = repository.name.toLowerCase();
  const named = credentials.flatMap((credential) => credential.repositories.filter(({ name }) => name === wanted).map(({ id }) => ({ credential, id })));
  if (named.length === 0) return [];
  const given = named.flatMap(({ id }) => id ?? []);
  if (given.length < named.length) await requireSame(repository, directory);
  const other = given.find((id) => id !== repository.id);
  if (other !== undefined) throw isAnother(repository, other, directory);
  return named.map(({ credential }) => credential);
}

/** Whether this is the first repository that came with its name; noted down where it is. Throws `credential_repository`. */
export async function requireSame({ name, id }: RepositoryIdentity, directory: string): Promise<void> {
  const first = await pin(directory, name.toLowerCase(), id);
  if (first !== id) throw isAnother({ name, id }, first, directory);
}

const isAnother = ({ name, id }: RepositoryIdentity, expectedId: number, directory: string): FixError =>
  new FixError('credential_repository', { details: { repository: name.toLowerCase(), id, expectedId, directory } });

/** The id that this name had when it came for the first time, which may be now. */
async function pin(directory: string, name: string, id: number): Promise<number> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, name.replace('/', '+'));
  const draft = join(directory, `.${randomUUID()}`);
  await writeFile(draft, `${id}\n`, { mode: 0o600 });
  try {
    // Whole or not at all, and never over one that is there: other workers may be at it.
    await link(draft, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  return Number(await readFile(file, 'utf8'));
}
