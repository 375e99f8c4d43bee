/** Our own GitHub port, opened on the stand-in as a worker opens it on GitHub. */
import { createGitHub } from '../../src/github/create-github.ts';
import type { GitHubOptions } from '../../src/github/create-github.ts';
import type { GitHub, GitHubRepository, PublishRequest, TokenRecord } from '../../src/github/github.ts';
import { createLog, createSecrets } from '../../src/log.ts';
import type { StandInRepository } from './github/repository.ts';
import type { StandInGitHub } from './github/stand-in.ts';

export interface OpenedPort {
  readonly github: GitHub;
  readonly repository: GitHubRepository;
  readonly records: TokenRecord[];
  /** Every line that was logged, as text. */
  readonly lines: string[];
}

export interface PortOptions extends Partial<GitHubOptions> {
  readonly signal?: AbortSignal;
  readonly deliveryId?: string;
}

export function openPort(standIn: StandInGitHub, seeded: Pick<StandInRepository, 'id' | 'owner' | 'name'>, options: PortOptions = {}): OpenedPort {
  const { app, apiUrl, webUrl } = standIn;
  const { signal = new AbortController().signal, deliveryId = 'd-1', ...rest } = options;
  const secrets = createSecrets();
  const lines: string[] = [];
  const log = createLog({ level: 'debug', secrets, format: 'json' }, { write: (line) => lines.push(line) });
  const github = createGitHub({ appId: app.appId, privateKey: app.privateKey, apiUrl, webUrl, secrets, log, paced: false, ...rest });
  const records: TokenRecord[] = [];
  const repository = github.repository(
    { installationId: app.installationId, repository: { id: seeded.id, owner: seeded.owner, name: seeded.name } },
    { deliveryId, signal, records },
  );
  return { github, repository, records, lines };
}

/** A request to publish one changed file; `change` overrides what a test is about. */
export function aPublishRequest(baseSha: string, change: Partial<PublishRequest> = {}): PublishRequest {
  return {
    baseSha,
    baseBranch: 'main',
    branch: 'mayfly/issue-7',
    files: [{ path: 'a.txt', change: { kind: 'write', mode: '100644', content: Buffer.from('changed\n') } }],
    commitMessage: 'Fix it\n\nskip-checks: true',
    title: 'Fix it',
    body: 'What was done.',
    draft: true,
    labels: [],
    reviewers: [],
    marker: '<!-- mayfly:run r00000000aaaaaaa -->',
    signal: new AbortController().signal,
    ...change,
  };
}
