/** One issue of ours that says how something stands: found again by a hidden marker, closed when there is nothing to say. */
import { withMarker } from './comments.ts';
import { makeOnce } from './session.ts';
import type { Authored, Session } from './session.ts';

interface Issue extends Authored {
  readonly number: number;
  readonly html_url: string;
  readonly title: string;
  readonly body?: string | null | undefined;
  readonly pull_request?: unknown;
}

/** 1,000 open issues of ours. */
const maxPages = 10;

export async function writeLivingIssue(
  session: Session,
  marker: string,
  says: { readonly title: string; readonly body: string } | null,
): Promise<{ readonly number: number; readonly url: string } | null> {
  const { octokit, at } = session;
  if (says === null) {
    const found = await findIssue(session, marker);
    if (found) await octokit.rest.issues.update({ ...at, issue_number: found.number, state: 'closed', state_reason: 'completed' });
    return null;
  }
  const { title } = says;
  const body = withMarker(says.body, marker);
  const find = async (): Promise<Issue | null> => await findIssue(session, marker);
  const written = await makeOnce(session, find, async () => (await octokit.rest.issues.create({ ...at, title, body })).data);
  if (written.body !== body || written.title !== title) await octokit.rest.issues.update({ ...at, issue_number: written.number, title, body });
  return { number: written.number, url: written.html_url };
}

async function findIssue({ octokit, at, isOurs, login }: Session, marker: string): Promise<Issue | null> {
  let pages = 0;
  for await (const { data } of octokit.paginate.iterator(octokit.rest.issues.listForRepo, { ...at, state: 'open', creator: login, per_page: 100 })) {
    const found = data.find((issue) => issue.pull_request === undefined && isOurs(issue) && (issue.body ?? '').includes(marker));
    if (found) return found;
    if (++pages === maxPages) break;
  }
  return null;
}
