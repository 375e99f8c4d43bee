/** What a run may ask and say in its repository. */
import { z } from 'zod';
import { FixError } from '../errors.ts';
import { writeCheck } from './checks.ts';
import { createClient } from './client.ts';
import { writeLivingComment, writeReply } from './comments.ts';
import { readConversation } from './conversation.ts';
import { asGitHubError, hasStatus } from './failure.ts';
import { readFile, readOrganizationFile } from './files.ts';
import type { CommitRequest, GitHubRepository, IssueState, Permission } from './github.ts';
import { writeLivingIssue } from './living-issue.ts';
import { demandClean, refuseSecrets } from './outgoing.ts';
import { dropFormer } from './held-branches.ts';
import type { FormerBranches } from './held-branches.ts';
import { holdBranch, publish } from './publish.ts';
import { createPulls, readCommit, signsForApps } from './pulls.ts';
import { asPullRequest, findOpenPullRequest } from './pull-requests.ts';
import type { Session } from './session.ts';
import { mintToken } from './tokens.ts';
import type { Mint, TokenUse } from './tokens.ts';

export interface RepositoryOptions {
  readonly mint: Mint;
  readonly webUrl: string;
  /** The same for every attempt of a run: what was said under it is not said again. */
  readonly runKey: string;
  readonly signal: AbortSignal;
  /** The name that this App writes under. */
  readonly login: (signal: AbortSignal) => Promise<string>;
}

const Access = z.object({ permission: z.enum(['admin', 'write', 'read', 'none']), role_name: z.string().optional() });
const Label = z.union([z.string(), z.object({ name: z.string().nullish() }).transform(({ name }) => name ?? '')]);
const IssueAnswer = z.object({
  number: z.number().int(),
  state: z.string(),
  locked: z.boolean().optional(),
  pull_request: z.unknown().optional(),
  title: z.string(),
  body: z.string().nullish(),
  labels: z.array(Label),
});
const noIssue: IssueState = { open: false, locked: false, isPullRequest: false, labels: [], title: '', body: '' };

export function createRepository(options: RepositoryOptions): GitHubRepository {
  const { mint, signal } = options;
  const { owner, name } = mint.ref.repository;
  const talk = async <T>(work: (session: Session) => Promise<T>): Promise<T> => await withSession(options, { use: 'talk', signal }, work);
  const write = async <T>(during: AbortSignal, work: (session: Session) => Promise<T>): Promise<T> =>
    await withSession(options, { use: 'publish', signal: AbortSignal.any([signal, during]) }, work);
  const as = async <T>(use: TokenUse, work: (session: Session) => Promise<T>, during = signal): Promise<T> =>
    await withSession(options, { use, signal: AbortSignal.any([signal, during]) }, work);
  const former = formerOf(mint);
  return {
    pulls: createPulls(as, options),
    signs: signsForApps(mint.client.apiUrl),
    cloneUrl: `${options.webUrl}/${owner}/${name}.git`,
    permission: async (login) => await talk(async (session) => await readPermission(session, login)),
    issue: async (number) => await talk(async (session) => await readIssue(session, number)),
    file: async (path, wanted) => await withSession(options, { use: 'read', signal }, async (session) => await readFile(session, path, wanted)),
    organizationFile: async (path, wanted) =>
      await withSession(options, { use: 'read', signal }, async (session) => await readOrganizationFile(mint, session, { path, ...wanted })),
    livingIssue: async (wanted) => await talk(async (session) => await writeLivingIssue(session, wanted)),
    conversation: async (issue, before) =>
      await talk(async (session) => {
        const mayWrite = async (login: string): Promise<boolean> => !['read', 'none'].includes(await readPermission(session, login));
        return await readConversation(session, { issue, before, mayWrite });
      }),
    async openPullRequest(branchPrefix) {
      const found = await talk(async (session) => await findOpenPullRequest(session, branchPrefix));
      return found && { pullRequest: asPullRequest(found), ours: (marker) => (found.body ?? '').includes(marker) };
    },
    react: async (target, content) =>
      await talk(async ({ octokit, at }) => {
        if (target.kind === 'issue') await octokit.rest.reactions.createForIssue({ ...at, issue_number: target.id, content });
        else if (target.kind === 'issue_comment') await octokit.rest.reactions.createForIssueComment({ ...at, comment_id: target.id, content });
        else await octokit.rest.reactions.createForPullRequestReviewComment({ ...at, comment_id: target.id, content });
      }),
    removeLabel: async (issue, label) =>
      await talk(async ({ octokit, at }) => {
        await octokit.rest.issues.removeLabel({ ...at, issue_number: issue, name: label }).catch(ignoreMissing);
      }),
    livingComment: async (issue, marker, body) =>
      await talk(async (session) => await writeLivingComment(session, { issue, marker, edit: typeof body === 'string' ? () => body : body })),
    reply: async (issue, body, once) => await talk(async (session) => await writeReply(session, { issue, body, runKey: once ?? options.runKey })),
    cloneToken: async () => await mintToken(mint, 'read', signal),
    async publish(request) {
      demandClean(request, mint.secrets);
      return await write(request.signal, async (session) => await publish(session, request, mint.log));
    },
    async hold(request) {
      demandClean(request, mint.secrets);
      return await write(request.signal, async (session) => await holdAlone(session, request, former));
    },
    dropHeld: async ({ branch, headSha }) =>
      await write(
        signal,
        async (session) => await dropFormer(session, { ...former, branch, goes: (head) => head.branch === branch && head.headSha === headSha }),
      ),
    check: async (request) => await withSession(options, { use: 'check', signal }, async (session) => await writeCheck(session, request)),
  };
}

async function holdAlone(session: Session, request: CommitRequest, former: ReturnType<typeof formerOf>): ReturnType<typeof holdBranch> {
  const held = await holdBranch(session, request);
  await dropFormer(session, { ...former, branch: request.branch, goes: ({ branch }) => branch !== held.branch });
  return held;
}

const formerOf = ({ client, log }: Mint): Pick<FormerBranches, 'readCommit' | 'log'> => ({
  readCommit: async (session, sha) => await readCommit(session, sha, { signs: signsForApps(client.apiUrl) }),
  log,
});

/** One token, one client, one use; whatever goes wrong in it leaves as a FixError. */
async function withSession<T>(
  options: RepositoryOptions,
  { use, signal }: { use: TokenUse; signal: AbortSignal },
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { mint, login } = options;
  const { installationId, repository } = mint.ref;
  try {
    const ourLogin = await login(signal);
    await using token = await mintToken(mint, use, signal);
    const octokit = createClient(mint.client, { auth: token.value, paceKey: `installation-${installationId}`, signal });
    refuseSecrets(octokit, mint.secrets);
    return await work({
      octokit,
      at: { owner: repository.owner, repo: repository.name },
      repositoryId: repository.id,
      signal,
      login: ourLogin,
      isOurs: ({ user, performed_via_github_app: app }) => app?.id === mint.credentials.appId || (user?.type === 'Bot' && user.login === ourLogin),
    });
  } catch (error) {
    if (signal.aborted) throw asFixErrorOf(signal);
    throw asGitHubError(error);
  }
}

function asFixErrorOf(signal: AbortSignal): FixError {
  return signal.reason instanceof FixError ? signal.reason : new FixError('cancelled', { cause: signal.reason });
}

/** `permission` knows no `maintain`; the role does. */
async function readPermission({ octokit, at }: Session, login: string): Promise<Permission> {
  try {
    const { data } = await octokit.rest.repos.getCollaboratorPermissionLevel({ ...at, username: login });
    const access = Access.safeParse(data);
    if (!access.success) throw new FixError('github_unavailable', { cause: access.error });
    const { permission, role_name: role } = access.data;
    return permission === 'write' && role === 'maintain' ? 'maintain' : permission;
  } catch (error) {
    if (hasStatus(error, 404)) return 'none';
    throw error;
  }
}

/** An issue that was deleted or moved away is not open. */
async function readIssue({ octokit, at }: Session, number: number): Promise<IssueState> {
  try {
    const { data } = await octokit.rest.issues.get({ ...at, issue_number: number });
    const issue = IssueAnswer.safeParse(data);
    if (!issue.success) throw new FixError('github_unavailable', { cause: issue.error });
    const { state, locked = false, pull_request: pull, labels, title, body } = issue.data;
    // GitHub leads from an issue that was moved to its new place, under another number.
    if (issue.data.number !== number) return noIssue;
    return { open: state === 'open', locked, isPullRequest: pull !== undefined, labels, title, body: body ?? '' };
  } catch (error) {
    if (hasStatus(error, 404, 410)) return noIssue;
    throw error;
  }
}

function ignoreMissing(error: unknown): void {
  if (!hasStatus(error, 404, 410)) throw error;
}
