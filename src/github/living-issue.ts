/** One issue of ours that says how something stands: found again by a hidden marker, for ever the same one. */
import { setTimeout } from 'node:timers/promises';
import { withMarker } from './comments.ts';
import type { LivingIssue } from './github.ts';
import { makeOnce } from './session.ts';
import type { Authored, Session } from './session.ts';

interface Issue extends Authored {
  readonly number: number;
  readonly html_url: string;
  readonly title: string;
  readonly state: string;
  readonly body?: string | null | undefined;
  readonly pull_request?: unknown;
}

/** 1,000 issues and pull requests of ours. */
const maxPages = 10;
/** GitHub may list a thing a moment later than it made it. */
const settles = { tries: 8, everyMs: 250 } as const;

/** Callers take turns: two that look at the same moment would both find none. */
export async function writeLivingIssue(session: Session, wanted: LivingIssue): Promise<{ readonly number: number; readonly url: string } | null> {
  const { octokit, at } = session;
  const { title } = wanted;
  const body = withMarker(wanted.body, wanted.marker);
  const saysSo = (issue: Issue): boolean => issue.body === body && issue.title === title;
  const find = async (): Promise<Issue | null> =>
    (await findIssue(session, wanted.marker, 'open')) ?? (wanted.open || wanted.among === 'all' ? await findIssue(session, wanted.marker, 'closed') : null);
  if (!wanted.open) {
    const found = await find();
    if (found && (found.state === 'open' || !saysSo(found))) {
      await octokit.rest.issues.update({ ...at, issue_number: found.number, title, body, state: 'closed', state_reason: 'completed' });
    }
    return null;
  }
  const create = async (): Promise<Issue> => {
    const { data } = await octokit.rest.issues.create({ ...at, title, body });
    await untilListed(session, wanted.marker);
    return data;
  };
  const issue = await makeOnce(session, find, create);
  if (!saysSo(issue)) await octokit.rest.issues.update({ ...at, issue_number: issue.number, title, body, ...(issue.state === 'closed' && { state: 'open' }) });
  return { number: issue.number, url: issue.html_url };
}

/** So that whoever looks next finds it. */
async function untilListed(session: Session, marker: string): Promise<void> {
  for (let tries = 1; tries < settles.tries; tries++) {
    if ((await findIssue(session, marker, 'open')) !== null) return;
    await setTimeout(settles.everyMs, undefined, { signal: session.signal });
  }
}

/** The one that changed last. */
async function findIssue({ octokit, at, isOurs, login }: Session, marker: string, state: 'open' | 'closed'): Promise<Issue | null> {
  let pages = 0;
  const query = { ...at, state, creator: login, sort: 'updated', direction: 'desc', per_page: 100 } as const;
  for await (const { data } of octokit.paginate.iterator(octokit.rest.issues.listForRepo, query)) {
    const found = data.find((issue) => issue.pull_request === undefined && isOurs(issue) && (issue.body ?? '').includes(marker));
    if (found) return found;
    if (++pages === maxPages) break;
  }
  return null;
}
