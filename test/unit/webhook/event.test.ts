import { expect, it } from 'vitest';
import { IntakeEvent, readEvent } from '../../../src/webhook/event.ts';

const envelope = {
  version: 1,
  key: 'comment-9',
  deliveryId: 'd',
  installationId: 55,
  repository: { id: 17, owner: 'acme', name: 'engine', private: true, defaultBranch: 'trunk' },
  issue: { number: 7, title: 'It breaks', body: '', isPullRequest: false },
  actor: { id: 31, login: 'ada' },
  receivedAt: '2026-01-02T03:04:05.000Z',
};

it('reads what the version before has queued: no trigger is lost while Mayfly is updated', () => {
  for (const kind of ['labeled', 'unlabeled'] as const) {
    expect(IntakeEvent.parse({ ...envelope, kind, label: 'mayfly' })).toEqual({ ...envelope, kind, label: 'mayfly', version: 2 });
  }
  expect(IntakeEvent.parse({ ...envelope, kind: 'closed' })).toEqual({ ...envelope, kind: 'closed', version: 2 });
  const command = { ...envelope, kind: 'command', commentId: 9, command: 'fix', instruction: 'also null' };
  expect(IntakeEvent.parse(command)).toEqual({ ...command, version: 2, on: 'issue' });
});

it('reads nothing else: kinds that the version before did not know, versions to come', () => {
  expect(IntakeEvent.safeParse({ ...envelope, kind: 'settings_pushed' }).success).toBe(false);
  expect(IntakeEvent.safeParse({ ...envelope, kind: 'labeled', label: 'mayfly', version: 3 }).success).toBe(false);
});

it('an event of a newer version is tried again, for a worker of that version may read it; what is none is refused', () => {
  const newer = { ...envelope, kind: 'more', version: 3 };

  expect(() => readEvent(newer)).toThrow(expect.objectContaining({ code: 'job_newer', row: expect.objectContaining({ retry: 'later' }) as unknown }));
  for (const event of [{ ...newer, version: 2 }, { ...newer, version: '3' }, null]) {
    expect(() => readEvent(event)).toThrow(expect.objectContaining({ code: 'job_invalid' }));
  }
  expect(readEvent({ ...envelope, kind: 'closed' })).toMatchObject({ kind: 'closed', version: 2 });
});
