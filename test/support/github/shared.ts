/** What the tests of a file share: one stand-in, held to GitHub's own documents after each test. */
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { failOnViolations } from './clients.ts';
import type { StandInRepository } from './repository.ts';
import { createStandInGitHub } from './stand-in.ts';
import type { StandInGitHub } from './stand-in.ts';

/** Called at the top of a file; `take` gets it before the first test. */
export function shareStandIn(take: (standIn: StandInGitHub) => void): void {
  let standIn: StandInGitHub;
  beforeAll(async () => {
    standIn = await createStandInGitHub();
    take(standIn);
  });
  afterAll(async () => await standIn.close());
  afterEach(() => failOnViolations(standIn));
}

/** The same, with a private repository, new for each test, in which ada may write. */
export function shareWithRepository(take: (standIn: StandInGitHub, seeded: StandInRepository) => void): void {
  let standIn: StandInGitHub;
  shareStandIn((made) => (standIn = made));
  beforeEach(async () => {
    const collaborators = [{ login: 'ada', permission: 'write' as const }];
    take(standIn, await standIn.seedRepository({ private: true, files: { 'a.txt': 'a' }, collaborators }));
  });
}
