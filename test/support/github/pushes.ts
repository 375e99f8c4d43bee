/** Pushes as GitHub tells of them: for each branch that moved, appeared or went away, and for the pull requests on it. */
import { completePayload, look, type Change } from './events.ts';
import { changedFiles, commitsBetween, longCommit } from './git-files.ts';
import { followBranches } from './pulls.ts';
import type { Webhooks } from './webhooks.ts';
import { actorLogin, type Caller, type Json, type StoredRepository, type World } from './world.ts';

interface Announcer {
  readonly world: World;
  readonly webhooks: Pick<Webhooks, 'emit'>;
}

export async function emitChanges({ world, webhooks }: Announcer, repository: StoredRepository, caller: Caller, changes: readonly Change[]): Promise<void> {
  if (!repository.installed || repository.owner !== world.app.account || world.suspended) return;
  for (const change of changes) webhooks.emit(change.event, await completePayload(world, repository, caller, change));
}

/** After anything that may have moved branches, whoever did it and however. */
export async function announceBranches(parts: Announcer, repository: StoredRepository, caller: Caller): Promise<void> {
  const { world } = parts;
  const moves = await takeMoves(repository);
  await emitChanges(parts, repository, caller, await Promise.all(moves.map((move) => pushOf(world, repository, actorLogin(world, caller), move))));
  for (const { pull, before } of await followBranches(world, repository)) {
    const now = await look(world, repository, { number: pull.number, commentId: null });
    const action = pull.open ? { action: 'synchronize', before, after: pull.headSha } : { action: 'closed' };
    await emitChanges(parts, repository, caller, [{ event: 'pull_request', payload: { ...action, number: pull.number, pull_request: now.pull } }]);
  }
}

interface Move {
  readonly ref: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** Each move once: one look at the branches begins when the one before it has ended. */
function takeMoves(repository: StoredRepository): Promise<readonly Move[]> {
  const { told, git } = repository;
  const taken = told.last.then(async () => {
    const now = new Map((await git.refs('refs/heads')).map(({ ref, sha }) => [ref, sha]));
    const moves = [...new Set([...told.heads.keys(), ...now.keys()])]
      .map((ref) => ({ ref, before: told.heads.get(ref) ?? null, after: now.get(ref) ?? null }))
      .filter(({ before, after }) => before !== after);
    told.heads = now;
    return moves;
  });
  told.last = taken.catch(() => undefined);
  return taken;
}

const nothing = '0'.repeat(40);

/** https://docs.github.com/en/webhooks/webhook-events-and-payloads#push */
async function pushOf(world: World, repository: StoredRepository, login: string, { ref, before, after }: Move): Promise<Change> {
  const shas = after === null ? [] : await commitsBetween(repository, before ?? 'refs/heads/main', after);
  const commits = await Promise.all(shas.map((sha) => commitOf(world, repository, sha)));
  const isForced = before !== null && after !== null && (await repository.git.read('merge-base', '--is-ancestor', before, after)) === null;
  const payload = {
    ref,
    before: before ?? nothing,
    after: after ?? nothing,
    created: before === null,
    deleted: after === null,
    forced: isForced,
    base_ref: null,
    compare: `${world.url}/${repository.fullName}/compare/${(before ?? nothing).slice(0, 12)}...${(after ?? nothing).slice(0, 12)}`,
    commits,
    head_commit: after === null ? null : await commitOf(world, repository, after),
    pusher: { name: login, email: `${login}@users.noreply.github.com` },
  };
  return { event: 'push', payload };
}

async function commitOf(world: World, repository: StoredRepository, sha: string): Promise<Json> {
  const { commit, html_url: url, parents } = await longCommit(repository, sha, world.url);
  const parent = parents[0]?.sha ?? '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
  const files = await changedFiles(repository, parent, sha, world.url);
  const paths = (...statuses: string[]): string[] => files.filter(({ status }) => statuses.includes(status)).map(({ filename }) => filename);
  const person = ({ name, email }: Json): Json => ({ name, email, username: name });
  return {
    id: sha,
    tree_id: commit.tree.sha,
    distinct: true,
    message: commit.message,
    timestamp: commit.committer.date,
    url,
    author: person(commit.author),
    committer: person(commit.committer),
    added: paths('added', 'copied', 'renamed'),
    removed: [...paths('removed'), ...files.flatMap(({ previous_filename: previous }) => previous ?? [])],
    modified: paths('modified', 'changed'),
  };
}
