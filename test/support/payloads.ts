/** Webhook payloads as GitHub sends them, cut to what tests look at; every field can be set. */

export interface PayloadParts {
  readonly action?: string;
  readonly label?: string;
  readonly sender?: { id?: number; login?: string; type?: string };
  readonly issue?: Record<string, unknown>;
  readonly comment?: Record<string, unknown> | null;
  readonly repositoryId?: number;
}

const aSender = { id: 31, login: 'ada', type: 'User' };

/** `issues.labeled` by a person, on an open issue, with the trigger label. */
export function anIssuesPayload(parts: PayloadParts = {}) {
  const { action = 'labeled', label = 'mayfly', sender, issue, repositoryId = 17 } = parts;
  return {
    action,
    label: { id: 1, name: label, color: 'fff' },
    issue: { id: 900, number: 7, title: 'It breaks', body: 'Here is how.', state: 'open', ...issue },
    repository: { id: repositoryId, name: 'engine', full_name: 'acme/engine', private: true, default_branch: 'trunk', owner: { login: 'acme', id: 5 } },
    installation: { id: 55 },
    sender: { ...aSender, ...sender },
  };
}

/** `issue_comment.created` by a person, with a command. */
export function aCommentPayload(parts: PayloadParts = {}) {
  const { label: _label, ...payload } = anIssuesPayload({ ...parts, action: parts.action ?? 'created' });
  return { ...payload, comment: { id: 4711, body: '/agent fix', user: payload.sender, performed_via_github_app: null, ...parts.comment } };
}
