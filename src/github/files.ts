/** Single files, as they are on a branch: what a person committed, not what a VM wrote. */
import { z } from 'zod';
import { asFixError } from '../errors.ts';
import { createClient } from './client.ts';
import { hasStatus } from './failure.ts';
import type { Session } from './session.ts';
import { mintToken } from './tokens.ts';
import type { Mint } from './tokens.ts';

/** GitHub inlines up to 1 MiB: https://docs.github.com/en/rest/repos/contents#get-repository-content */
const Content = z.object({ type: z.literal('file'), size: z.number().int(), encoding: z.string(), content: z.string() });

export async function readFile(
  { octokit, at }: Session,
  path: string,
  { maxBytes, ref }: { readonly maxBytes: number; readonly ref?: string },
): Promise<Buffer | 'too_large' | null> {
  try {
    const { data } = await octokit.rest.repos.getContent({ ...at, path, ...(ref !== undefined && { ref }) });
    // A folder is an array; a symlink and a submodule have types of their own.
    const file = Content.safeParse(data);
    if (!file.success) return null;
    if (file.data.size > maxBytes || file.data.encoding !== 'base64') return 'too_large';
    return Buffer.from(file.data.content, 'base64');
  } catch (error) {
    if (hasStatus(error, 404)) return null;
    throw error;
  }
}

/** Where an organization keeps what its repositories share: https://docs.github.com/en/communities */
const sharedName = '.github';

/** With a token for that repository alone; where the App is not installed on it, as anybody who reads a public one. */
export async function readOrganizationFile(mint: Mint, session: Session, wanted: { path: string; maxBytes: number }): Promise<Buffer | 'too_large' | null> {
  const { path, maxBytes } = wanted;
  const at = { owner: session.at.owner, repo: sharedName };
  if (session.at.repo.toLowerCase() === sharedName) return await readFile(session, path, { maxBytes });
  await using token = await mintToken(mint, 'read', session.signal, sharedName).catch((error: unknown) => {
    if (asFixError(error).code === 'github_refused' || asFixError(error).code === 'repository_unreachable') return null;
    throw error;
  });
  if (token === null) return await readFile({ ...session, at }, path, { maxBytes });
  const octokit = createClient(mint.client, { auth: token.value, paceKey: `installation-${mint.ref.installationId}`, signal: session.signal });
  return await readFile({ ...session, octokit, at }, path, { maxBytes });
}
