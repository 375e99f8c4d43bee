/** A bug of a public project whose fix is known: where it is, what its issue says, and the tests that show whether it is mended. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FixError } from '../../src/errors.ts';

const commit = z.string().regex(/^[0-9a-f]{40}$/);

const Case = z.object({
  id: z.string().regex(/^[\w.-]{1,100}$/),
  /** Owner and name. */
  repository: z.string().regex(/^[\w-][\w.-]*\/[\w-][\w.-]*$/),
  buggyCommit: commit,
  fixCommit: commit,
  issue: z.object({ title: z.string().min(1).max(1024), body: z.string().max(65_536) }),
  /** Prepares a fresh clone. */
  install: z.string().min(1),
  /** Fails with the hidden tests on the buggy commit, passes with them on the fix. */
  test: z.string().min(1),
  /** Paths, read from the fix commit. */
  hiddenTests: z.array(z.string().min(1)).min(1),
  /** Paths that the fix commit changes, without its tests. */
  fixTouches: z.array(z.string().min(1)).min(1),
});
export type Case = z.infer<typeof Case>;

/** The `*.json` of a folder by name; with `only`, those ids. Throws `usage`. */
export async function readCases(directory: string, only: readonly string[]): Promise<readonly Case[]> {
  const names = await readdir(directory).catch((cause: unknown) => {
    throw unusable(`the folder of cases cannot be read: ${directory}`, cause);
  });
  const cases = await Promise.all(
    names
      .filter((name) => name.endsWith('.json'))
      .toSorted()
      .map((name) => readCase(directory, name)),
  );
  if (cases.length === 0) throw unusable(`there is no case (*.json) in ${directory}`);
  const unknown = only.find((id) => !cases.some((one) => one.id === id));
  if (unknown !== undefined) throw unusable(`--only ${unknown}: the cases are ${cases.map(({ id }) => id).join(', ')}`);
  return only.length === 0 ? cases : cases.filter(({ id }) => only.includes(id));
}

async function readCase(directory: string, name: string): Promise<Case> {
  const text = await readFile(join(directory, name), 'utf8');
  try {
    return Case.parse(JSON.parse(text));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll('\n', ' ') : 'it is not JSON';
    throw unusable(`${name} is not a case: ${why}`, cause);
  }
}

const unusable = (reason: string, cause?: unknown): FixError => new FixError('usage', { ...(cause !== undefined && { cause }), details: { reason } });
