/** Pull requests: title, body, draft and state in the emulator; branches, commits and files in git. */
import { changedFiles, commitsBetween, diffMedia, longCommit, mergeBase } from './git-files.ts';
import { forward } from './issues.ts';
import { correct, listedPull } from './shapes.ts';
import { invalid, notFound, paginate, Refusal, type Call, type PullState, type Reply, type StoredRepository, type World } from './world.ts';

export async function createPull(call: Call): Promise<Reply> {
  const { repository, world, body } = call;
  const headRef = branchOf(repository, body.head);
  const headSha = headRef === null ? null : await repository.git.resolve(`refs/heads/${headRef}`);
  const baseSha = await repository.git.resolve(`refs/heads/${body.base}`);
  if (headRef === null || headSha === null) throw invalid('PullRequest', { field: 'head', code: 'invalid' });
  if (baseSha === null) throw invalid('PullRequest', { field: 'base', code: 'invalid' });
  if ((await commitsBetween(repository, baseSha, headSha)).length === 0) {
    throw invalid('PullRequest', { code: 'custom', message: `No commits between ${body.base} and ${headRef}` });
  }
  const twin = [...repository.pulls.values()].find((pull) => pull.open && pull.headRef === headRef && pull.baseRef === body.base);
  if (twin) throw invalid('PullRequest', { code: 'custom', message: `A pull request already exists for ${repository.owner}:${headRef}.` });
  if (body.draft && !world.drafts) throw new Refusal(422, 'Draft pull requests are not supported in this repository.');
  const reply = await forward(call, { ...body, head: headRef });
  if (reply.status !== 201) return reply;
  repository.pulls.set(reply.body.number, { number: reply.body.number, headRef, headSha, baseRef: body.base, baseSha, open: true });
  await repository.git.setRef(`refs/pull/${reply.body.number}/head`, headSha);
  return reply;
}

/** `owner:branch` or `branch`; forks do not exist here. */
function branchOf(repository: StoredRepository, head: string): string | null {
  if (!head.includes(':')) return head;
  return head.startsWith(`${repository.owner}:`) ? head.slice(repository.owner.length + 1) : null;
}

function pullOf(call: Call): PullState {
  const pull = call.repository.pulls.get(Number(call.params['pull_number']));
  if (!pull) throw notFound();
  return pull;
}

export async function readPull(call: Call): Promise<Reply> {
  const pull = pullOf(call);
  const fork = await mergeBase(call.repository, pull.baseSha, pull.headSha);
  return (await diffMedia(call, fork, pull.headSha)) ?? forward(call);
}

export async function listPulls(call: Call): Promise<Reply> {
  const reply = await forward(call);
  if (reply.status !== 200) return reply;
  return { ...reply, body: (await correct(call.world, call.caller, reply.body)).map(listedPull) };
}

export async function updatePull(call: Call): Promise<Reply> {
  const pull = pullOf(call);
  const reply = await forward(call);
  if (reply.status === 200) pull.open = reply.body.state === 'open';
  return reply;
}

export async function listFiles(call: Call): Promise<Reply> {
  const pull = pullOf(call);
  const fork = await mergeBase(call.repository, pull.baseSha, pull.headSha);
  return paginate(await changedFiles(call.repository, fork, pull.headSha, call.world.url), call);
}

export async function listPullCommits(call: Call): Promise<Reply> {
  const pull = pullOf(call);
  const shas = await commitsBetween(call.repository, pull.baseSha, pull.headSha);
  const page = paginate(shas, call);
  return { ...page, body: await Promise.all(page.body.map((sha: string) => longCommit(call.repository, sha, call.world.url))) };
}

export async function requestReviewers(call: Call): Promise<Reply> {
  pullOf(call);
  const { repository, body } = call;
  const strangers = (body.reviewers ?? []).filter((login: string) => !repository.roles.has(login));
  if (strangers.length > 0) {
    throw new Refusal(
      422,
      `Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the ${repository.fullName} repository.`,
    );
  }
  const current = await forward({ ...call, method: 'GET', target: call.target.replace(/\/requested_reviewers.*/, '') });
  if ((body.reviewers ?? []).includes(current.body?.user?.login)) throw new Refusal(422, 'Review cannot be requested from pull request author.');
  const reply = await forward(call);
  return reply.status === 200 ? { ...reply, status: 201 } : reply;
}

/** Follows the branches after a push or a ref call: a moved head moves its pull request, a deleted one closes it. */
export async function followBranches(world: World, repository: StoredRepository): Promise<readonly { pull: PullState; before: string }[]> {
  const moved: { pull: PullState; before: string }[] = [];
  for (const pull of [...repository.pulls.values()].filter(({ open }) => open)) {
    const sha = await repository.git.resolve(`refs/heads/${pull.headRef}`);
    if (sha === pull.headSha) continue;
    const before = pull.headSha;
    if (sha === null) {
      pull.open = false;
      const target = `/repos/${repository.fullName}/pulls/${pull.number}`;
      await world.emulator.call('PATCH', target, { as: world.emulator.ownerOf(repository.owner), body: { state: 'closed' } });
    } else {
      pull.headSha = sha;
      await repository.git.setRef(`refs/pull/${pull.number}/head`, sha);
    }
    moved.push({ pull, before });
  }
  return moved;
}
