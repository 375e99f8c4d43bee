/** Single files, as they are on a branch: what a person committed, not what a VM wrote. */
import { z } from 'zod';
import { hasStatus } from './failure.ts';
import type { Session } from './session.ts';

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
