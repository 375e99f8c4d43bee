/** Everything that people can see of a repository on the stand-in GitHub, short enough to be held against a list. */
import type { Json } from './github/world.ts';
import type { StandInRepository } from './github/repository.ts';

export interface Portrait {
  /** By number: title, state, labels and reactions of issues and pull requests. */
  readonly subjects: Readonly<Record<number, string>>;
  /** By number: who says what, by the first line that is shown. */
  readonly comments: Readonly<Record<number, readonly string[]>>;
  /** By number of the pull request: where a comment stands, who says what, its reactions. */
  readonly threads: Readonly<Record<number, readonly string[]>>;
  /** Subjects of the commits and their checks; of other branches those that main has not. Oldest first. */
  readonly branches: Readonly<Record<string, readonly string[]>>;
}

export async function portray(repository: StandInRepository): Promise<Portrait> {
  const subjects: Record<number, string> = {};
  const comments: Record<number, readonly string[]> = {};
  const threads: Record<number, readonly string[]> = {};
  for (const issue of await repository.allIssues()) {
    const { number, title, state, labels } = issue;
    const marks = [state, ...labels.map(({ name }: Json) => name), ...repository.reactions(number)];
    subjects[number] = `${title} (${marks.join(', ')})`;
    const said = (await repository.comments(number)).map((comment) => line(comment, repository.commentReactions(comment.id)));
    if (said.length > 0) comments[number] = said;
    const remarks = issue.pull_request ? await repository.reviewComments(number) : [];
    if (remarks.length > 0) threads[number] = remarks.map((remark) => `${remark.path}:${remark.line} ${line(remark, repository.reviewReactions(remark.id))}`);
  }
  return { subjects, comments, threads, branches: await portrayBranches(repository) };
}

async function portrayBranches(repository: StandInRepository): Promise<Portrait['branches']> {
  const branches: Record<string, readonly string[]> = {};
  for (const branch of Object.keys(await repository.branches())) {
    const commits = await repository.history(branch);
    branches[branch] = await Promise.all(
      commits.map(async ({ sha, subject }) => {
        const checks = (await repository.checks(sha)).map(({ name, status, conclusion }) => `${name}: ${conclusion ?? status}`);
        return checks.length === 0 ? subject : `${subject} (${checks.join(', ')})`;
      }),
    );
  }
  return branches;
}

/** Ids of commits differ from one time to the next. */
function line({ user, body }: Json, reactions: readonly string[]): string {
  const first = (body as string).split('\n').find((text) => text !== '' && !text.startsWith('<!--')) ?? '';
  const marks = reactions.length === 0 ? '' : ` (${reactions.join(', ')})`;
  return `${user.login}: ${first.replace(/\b[0-9a-f]{7}\b/g, '<sha>')}${marks}`;
}
