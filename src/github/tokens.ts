/**
 * Installation tokens: one per use, for one repository, with exactly the permissions of that use, revoked when the use
 * ends. No cache anywhere: a cache hands revoked tokens out and makes one run end the token of another.
 */
import { z } from 'zod';
import { FixError } from '../errors.ts';
import type { Log, Secrets } from '../log.ts';
import type { AppCredentials } from './app-credentials.ts';
import { createClient } from './client.ts';
import type { ClientOptions } from './client.ts';
import { asGitHubError, gitHubError, hasStatus } from './failure.ts';
import type { RepositoryRef, Token, TokenRecord } from './github.ts';

export type TokenUse = TokenRecord['use'];

/** Metadata is granted with any of them. */
const permissionsOf: Readonly<Record<TokenUse, Readonly<Record<string, 'read' | 'write'>>>> = {
  read: { contents: 'read' },
  talk: { issues: 'write', pull_requests: 'write' },
  // Apart: where it was not granted, people still hear of a run.
  check: { checks: 'write' },
  // What other Apps checked, and the logs of GitHub Actions.
  look: { checks: 'read', actions: 'read' },
  publish: { contents: 'write', pull_requests: 'write' },
};

const Minted = z.object({
  token: z.string().min(1).max(4096),
  permissions: z.record(z.string(), z.string()),
  repositories: z.array(z.object({ id: z.number(), full_name: z.string() })).optional(),
});

export interface Mint {
  readonly credentials: AppCredentials;
  readonly client: ClientOptions;
  readonly secrets: Secrets;
  readonly log: Log;
  readonly ref: RepositoryRef;
  readonly records: TokenRecord[];
}

/** `sibling` is the name of another repository of the same owner. Throws `github_credentials`, `repository_unreachable`, `github_refused`, `github_unavailable`, `cancelled`. */
export async function mintToken(mint: Mint, use: TokenUse, signal: AbortSignal, sibling: string | null = null): Promise<Token> {
  const minted = await requestToken(mint, use, { signal, sibling });
  mint.secrets.protect(minted.token);
  const record: TokenRecord = {
    use,
    repositories: minted.repositories?.map(({ full_name: name }) => name) ?? [],
    permissions: minted.permissions,
    revoked: false,
  };
  mint.records.push(record);
  const token = { value: minted.token, [Symbol.asyncDispose]: async () => await revoke(mint, minted.token, record) };
  if (isWider({ ...mint, sibling }, minted, use)) {
    await token[Symbol.asyncDispose]();
    throw new FixError('github_refused', { details: { reason: 'the token was wider than asked for', use, permissions: minted.permissions } });
  }
  return token;
}

async function requestToken(
  { credentials, client, ref }: Mint,
  use: TokenUse,
  { signal, sibling }: { signal: AbortSignal; sibling: string | null },
): Promise<z.infer<typeof Minted>> {
  const { installationId, repository } = ref;
  return await credentials.asApp(client, signal, async (octokit) => {
    const wish = {
      installation_id: installationId,
      ...(sibling === null ? { repository_ids: [repository.id] } : { repositories: [sibling] }),
      permissions: permissionsOf[use],
    };
    try {
      const { data } = await octokit.rest.apps.createInstallationAccessToken(wish);
      return Minted.parse(data);
    } catch (error) {
      if (error instanceof z.ZodError) throw new FixError('github_unavailable', { details: { reason: 'a token answer that cannot be read' } });
      if (hasStatus(error, 401)) throw error;
      // The installation is gone, or it is another App's.
      if (hasStatus(error, 404)) throw gitHubError('repository_unreachable', error);
      if (!hasStatus(error, 422)) throw asGitHubError(error);
    }
    // 422 is both: a repository outside of the installation, and a permission that its owner has not granted.
    const installed = octokit.rest.apps.getRepoInstallation({ owner: repository.owner, repo: sibling ?? repository.name });
    const code = await installed.then(
      ({ data }) => (data.id === installationId ? 'github_refused' : 'repository_unreachable'),
      (error: unknown) => (hasStatus(error, 301, 403, 404) ? 'repository_unreachable' : 'github_unavailable'),
    );
    throw new FixError(code, { details: { use, status: 422, installationId } });
  });
}

function isWider({ ref, sibling }: Mint & { sibling: string | null }, minted: z.infer<typeof Minted>, use: TokenUse): boolean {
  const asked: Readonly<Record<string, string>> = { metadata: 'read', ...permissionsOf[use] };
  const wanted = sibling === null ? null : `${ref.repository.owner}/${sibling}`.toLowerCase();
  const isOther = ({ id, full_name: name }: { id: number; full_name: string }): boolean =>
    wanted === null ? id !== ref.repository.id : name.toLowerCase() !== wanted;
  const otherRepository = minted.repositories?.some(isOther) ?? false;
  return otherRepository || Object.entries(minted.permissions).some(([name, level]) => asked[name] !== level);
}

/** Never throws: a token that stays alive is recorded as such, and ends by itself within the hour. */
async function revoke({ client, log, ref, secrets }: Mint, value: string, record: TokenRecord): Promise<void> {
  if (record.revoked) return;
  // Not the signal of the run: a stopped run has to give its tokens back, too.
  const signal = AbortSignal.timeout(20_000);
  try {
    // Octokit spaces a DELETE as it spaces comments, and every use of a token would take a second: minting one it does not space.
    const octokit = createClient(client, { auth: value, paceKey: `revoke-${ref.installationId}`, spaced: false, signal });
    await octokit.rest.apps.revokeInstallationAccessToken();
    record.revoked = true;
  } catch (error) {
    record.revoked = hasStatus(error, 401);
    if (!record.revoked) log.warn({ err: asGitHubError(error), use: record.use }, 'token could not be revoked');
  }
  // A dead token is no secret any more.
  if (record.revoked) secrets.forget(value);
}
