/** Jobs as the intake makes them. */
import { randomUUID } from 'node:crypto';
import { newRunId } from '../../src/job.ts';
import type { FixJob } from '../../src/job.ts';

export interface JobParts {
  readonly key?: string;
  readonly repositoryId?: number;
  readonly installationId?: number;
  readonly issue?: number;
  readonly userId?: number;
}

export function aJob({ key = `label-${randomUUID()}`, repositoryId = 17, installationId = 55, issue = 7, userId = 31 }: JobParts = {}): FixJob {
  return {
    version: 2,
    runId: newRunId(),
    key,
    deliveryId: randomUUID(),
    installationId,
    repository: { id: repositoryId, owner: 'acme', name: 'engine', private: true, defaultBranch: 'trunk' },
    issue: { number: issue, title: 'It breaks', body: 'Here is how.' },
    pull: null,
    work: { kind: 'fix', instruction: null, resume: null, plan: null },
    actor: { id: userId, login: 'ada' },
    trigger: { kind: 'label', label: 'mayfly' },
    requestedAt: '2026-01-02T03:04:05.000Z',
  };
}
