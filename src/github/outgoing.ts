/** The last gate before GitHub: whatever a request would write, in whatever field, carries no live secret of this process. */
import type { Octokit } from '@octokit/rest';
import { FixError } from '../errors.ts';
import type { Secrets } from '../log.ts';
import type { CommitRequest } from './github.ts';

/** Not written anywhere: the token itself travels in the headers. */
const notContent = new Set(['headers', 'request', 'baseUrl', 'mediaType']);

/** Makes each write throw `secret_in_text` that carries one. Nothing is sent then, and nothing is mended: a person has to look. */
export function refuseSecrets(octokit: Octokit, secrets: Pick<Secrets, 'leaks'>): void {
  octokit.hook.before('request', (request) => {
    if (request.method === 'GET') return;
    for (const [field, value] of Object.entries(request)) {
      if (!notContent.has(field) && textsOf(value).some((text) => secrets.leaks(text))) {
        throw new FixError('secret_in_text', { details: { method: request.method, url: request.url, field } });
      }
    }
  });
}

function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
}

/** The same for a whole commit and its pull request, before the first part of it is written. */
export function demandClean(request: CommitRequest & { title?: string; body?: string }, secrets: Pick<Secrets, 'leaks'>): void {
  const { branch, commitMessage, title = '', body = '', files } = request;
  const contents = files.flatMap(({ path, change }) => [path, ...(change.kind === 'write' ? [Buffer.from(change.content).toString('utf8')] : [])]);
  for (const [field, texts] of Object.entries({ branch: [branch], commitMessage: [commitMessage], title: [title], body: [body], files: contents })) {
    if (texts.some((text) => secrets.leaks(text))) throw new FixError('secret_in_text', { details: { field } });
  }
}
