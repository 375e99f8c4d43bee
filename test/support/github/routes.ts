/**
 * Every operation that the stand-in stands in for, by its name in GitHub's OpenAPI description, with what it asks of
 * the caller. What is not here is answered 501 and counted as a violation: nothing works here by accident.
 */
import * as actions from './actions.ts';
import * as apps from './app-routes.ts';
import type { Need } from './access.ts';
import { readPermission, removeCollaborator, setCollaborator } from './collaborators.ts';
import * as data from './git-data.ts';
import * as files from './git-files.ts';
import * as issues from './issues.ts';
import * as pulls from './pulls.ts';
import * as reviews from './reviews.ts';
import * as extras from './extras.ts';
import type { RateLimits } from './rate-limits.ts';
import type { Registrations } from './registrations.ts';
import type { Webhooks } from './webhooks.ts';
import type { Call, Reply, Role } from './world.ts';

export type Route =
  | { readonly as: 'app' | 'token' | 'anyone'; readonly answer: (call: apps.BareCall) => Promise<Reply> }
  | { readonly as: 'repository'; readonly need: Need; readonly answer: (call: Call) => Promise<Reply> };

type Answer = (call: Call) => Promise<Reply>;

const needs =
  (level: 'read' | 'write', any: readonly string[], role?: Role) =>
  (answer: Answer): Route => ({
    as: 'repository',
    need: { any, level, ...(role ? { role } : {}) },
    answer,
  });

interface RouteParts {
  readonly webhooks: Webhooks;
  readonly rateLimits: RateLimits;
  readonly registrations: Registrations;
  readonly permissionNames: ReadonlySet<string>;
}

export function createRoutes(parts: RouteParts): ReadonlyMap<string, Route> {
  return new Map([
    ...Object.entries(appRoutes(parts)),
    ...inRepository(repositoryRoutes()),
    ...inRepository(gitRoutes()),
    ...inRepository(issueRoutes()),
    ...inRepository(pullRoutes()),
  ]);
}

/** `GET issues` is `GET /repos/{owner}/{repo}/issues`. */
function inRepository(routes: Readonly<Record<string, Route>>): [string, Route][] {
  return Object.entries(routes).map(([key, route]) => {
    const [method = '', path = ''] = key.split(' ');
    return [`${method} /repos/{owner}/{repo}${path === '' ? '' : `/${path}`}`, route];
  });
}

function appRoutes({ webhooks, rateLimits, registrations, permissionNames }: RouteParts): Record<string, Route> {
  return {
    'POST /app-manifests/{code}/conversions': { as: 'anyone', answer: registrations.convert },
    'GET /app': { as: 'app', answer: apps.readApp },
    'GET /app/installations': { as: 'app', answer: apps.listInstallations },
    'GET /app/installations/{installation_id}': { as: 'app', answer: apps.readInstallation },
    'POST /app/installations/{installation_id}/access_tokens': { as: 'app', answer: (call) => apps.mintToken(call, permissionNames) },
    'GET /repos/{owner}/{repo}/installation': { as: 'app', answer: apps.readRepositoryInstallation },
    'GET /users/{username}/installation': { as: 'app', answer: apps.readAccountInstallation },
    'GET /app/hook/config': { as: 'app', answer: (call) => apps.readHookConfig(call, webhooks) },
    'GET /app/hook/deliveries': { as: 'app', answer: (call) => apps.listDeliveries(call, webhooks) },
    'GET /app/hook/deliveries/{delivery_id}': { as: 'app', answer: (call) => apps.readDelivery(call, webhooks) },
    'POST /app/hook/deliveries/{delivery_id}/attempts': { as: 'app', answer: (call) => apps.redeliver(call, webhooks) },
    'DELETE /installation/token': { as: 'token', answer: apps.revokeToken },
    'GET /installation/repositories': { as: 'token', answer: apps.listInstallationRepositories },
    'GET /rate_limit': { as: 'anyone', answer: (call) => extras.readRateLimit(call, rateLimits) },
    'GET /meta': { as: 'anyone', answer: extras.readMeta },
    'GET /user': { as: 'token', answer: extras.readSelf },
    'GET /users/{username}': { as: 'anyone', answer: extras.readUser },
  };
}

function repositoryRoutes(): Record<string, Route> {
  const metadata = needs('read', ['metadata']);
  const contents = needs('read', ['contents']);
  return {
    'GET ': metadata(issues.forward),
    'GET collaborators': needs('read', ['metadata'], 'write')(issues.forward),
    'GET collaborators/{username}/permission': metadata(readPermission),
    'PUT collaborators/{username}': needs('write', ['administration'], 'admin')(setCollaborator),
    'DELETE collaborators/{username}': needs('write', ['administration'], 'admin')(removeCollaborator),
    'GET rulesets': metadata(extras.listRulesets),
    'GET rules/branches/{branch}': metadata(extras.branchRules),
    'POST dispatches': needs('write', ['contents'], 'write')(extras.dispatch),
    'POST statuses/{sha}': needs('write', ['statuses'], 'write')(extras.createStatus),
    'GET commits/{ref}/statuses': needs('read', ['statuses'])(extras.listStatuses),
    'GET commits/{ref}/status': needs('read', ['statuses'])(extras.combinedStatus),
    'POST check-runs': needs('write', ['checks'], 'admin')(extras.createCheck),
    'PATCH check-runs/{check_run_id}': needs('write', ['checks'], 'admin')(extras.updateCheck),
    'GET check-runs/{check_run_id}': needs('read', ['checks'])(issues.forward),
    'GET commits/{ref}/check-runs': needs('read', ['checks'])(extras.listChecks),
    'GET commits/{ref}/check-suites': needs('read', ['checks'])(actions.listSuites),
    'GET actions/jobs/{job_id}/logs': needs('read', ['actions'])(actions.redirectLog),
    'GET branches': contents(data.listBranches),
    'GET branches/{branch}': contents(extras.readBranch),
    'GET contents/{path}': contents(files.readContents),
    'GET commits': contents(files.listCommits),
    'GET commits/{ref}': contents(files.readLongCommit),
    'GET compare/{basehead}': contents(files.compare),
    'GET compare/{base}...{head}': contents(files.compare),
    'GET tarball/{ref}': contents(files.redirectArchive),
    'GET zipball/{ref}': contents(files.redirectArchive),
  };
}

function gitRoutes(): Record<string, Route> {
  const read = needs('read', ['contents']);
  const write = needs('write', ['contents'], 'write');
  return {
    'POST git/blobs': write(data.createBlob),
    'GET git/blobs/{file_sha}': read(data.readBlob),
    'POST git/trees': write(data.createTree),
    'GET git/trees/{tree_sha}': read(data.readTree),
    'POST git/commits': write(data.createCommit),
    'GET git/commits/{commit_sha}': read(data.readCommit),
    'POST git/refs': write(data.createRef),
    'GET git/ref/{ref}': read(data.readRef),
    'GET git/matching-refs/{ref}': read(data.matchingRefs),
    'PATCH git/refs/{ref}': write(data.updateRef),
    'DELETE git/refs/{ref}': write(data.deleteRef),
  };
}

function issueRoutes(): Record<string, Route> {
  const read = needs('read', ['issues']);
  const write = needs('write', ['issues']);
  const readBoth = needs('read', ['issues', 'pull_requests']);
  const writeBoth = needs('write', ['issues', 'pull_requests']);
  const triage = needs('write', ['issues', 'pull_requests'], 'triage');
  return {
    'GET issues': read(issues.listIssues),
    'POST issues': write(issues.createIssue),
    'GET issues/{issue_number}': readBoth(issues.readIssue),
    'PATCH issues/{issue_number}': writeBoth(issues.updateIssue),
    'PUT issues/{issue_number}/lock': needs('write', ['issues', 'pull_requests'], 'write')(issues.forward),
    'DELETE issues/{issue_number}/lock': needs('write', ['issues', 'pull_requests'], 'write')(issues.forward),
    'GET issues/{issue_number}/events': readBoth(issues.forward),
    'GET issues/{issue_number}/timeline': readBoth(issues.forward),
    'POST issues/{issue_number}/assignees': triage(issues.forward),
    'DELETE issues/{issue_number}/assignees': triage(issues.forward),
    'GET issues/{issue_number}/labels': readBoth(issues.forward),
    'POST issues/{issue_number}/labels': triage(issues.forward),
    'PUT issues/{issue_number}/labels': triage(issues.forward),
    'DELETE issues/{issue_number}/labels': triage(issues.forward),
    'DELETE issues/{issue_number}/labels/{name}': triage(issues.removeLabel),
    'GET labels': readBoth(issues.forward),
    'GET labels/{name}': readBoth(issues.forward),
    'POST labels': needs('write', ['issues', 'pull_requests'], 'write')(issues.forward),
    'GET issues/comments': readBoth(issues.forward),
    'GET issues/{issue_number}/comments': readBoth(issues.forward),
    'POST issues/{issue_number}/comments': writeBoth(issues.createComment),
    'GET issues/comments/{comment_id}': readBoth(issues.forward),
    'PATCH issues/comments/{comment_id}': writeBoth(issues.changeComment),
    'DELETE issues/comments/{comment_id}': writeBoth(issues.changeComment),
    ...reactionRoutes('issues/{issue_number}'),
    ...reactionRoutes('issues/comments/{comment_id}'),
  };
}

function reactionRoutes(subject: string): Record<string, Route> {
  const both = ['issues', 'pull_requests'];
  return {
    [`GET ${subject}/reactions`]: needs('read', both)(issues.listReactions),
    [`POST ${subject}/reactions`]: needs('write', both)(issues.createReaction),
    [`DELETE ${subject}/reactions/{reaction_id}`]: needs('write', both)(issues.deleteReaction),
  };
}

function pullRoutes(): Record<string, Route> {
  const read = needs('read', ['pull_requests']);
  const write = needs('write', ['pull_requests'], 'write');
  return {
    'GET pulls': read(pulls.listPulls),
    'POST pulls': write(pulls.createPull),
    'GET pulls/{pull_number}': read(pulls.readPull),
    'PATCH pulls/{pull_number}': write(pulls.updatePull),
    'GET pulls/{pull_number}/files': read(pulls.listFiles),
    'GET pulls/{pull_number}/commits': read(pulls.listPullCommits),
    'GET pulls/{pull_number}/requested_reviewers': read(extras.listReviewers),
    'POST pulls/{pull_number}/requested_reviewers': write(pulls.requestReviewers),
    'DELETE pulls/{pull_number}/requested_reviewers': write(issues.forward),
    'GET pulls/{pull_number}/reviews': read(reviews.listReviews),
    'POST pulls/{pull_number}/reviews': needs('write', ['pull_requests'])(reviews.createReview),
    'GET pulls/{pull_number}/comments': read(reviews.listReviewComments),
    'POST pulls/{pull_number}/comments': needs('write', ['pull_requests'])(reviews.createSingleComment),
    'POST pulls/{pull_number}/comments/{comment_id}/replies': needs('write', ['pull_requests'])(reviews.replyToComment),
    ...reactionRoutes('pulls/comments/{comment_id}'),
  };
}
