/** The pull request of a run in the manners of its repository, on the stand-in GitHub; the VMs are folders of this host. */
import { afterEach, expect, it } from 'vitest';
import { readRuns } from '../../src/bot/run-history.ts';
import { failOnViolations } from '../support/github/clients.ts';
import { whyNoSshd } from '../support/host-sshd.ts';
import { bash, createIssueWorld, submit } from '../support/issue-world.ts';
import type { IssueWorld } from '../support/issue-world.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: pull requests of runs were not tested: ${reason}\n`);

let world: IssueWorld;
afterEach(async () => {
  if (reason) return;
  failOnViolations(world.standIn);
  await world[Symbol.asyncDispose]();
});

const good = bash('echo good > src.txt');

it.skipIf(reason)('fills the template of the repository, and leaves the issue open unless the agent claims that it is done', async () => {
  world = await createIssueWorld({
    '.github/PULL_REQUEST_TEMPLATE.md': '<!-- hi -->\n## Description\n\n## Testing\n\n- [ ] All tests pass\n- [ ] I signed it\n',
  });

  await world.run([good, submit()]);

  const [pull] = await world.repository.pullRequests();
  expect(pull.title).toBe(`Work on #${world.job.issue.number}: ${world.job.issue.title}`);
  expect(pull.body).toMatch(/^<!-- mayfly:run \w+ -->\nFor #\d+\. The agent does not claim/);
  expect(pull.body).toMatch(/## Description\n\nIn the words of the agent:\n\nDone\.\n\n## Testing\n\nWhat the host saw:/);
  expect(pull.body).toContain('- [x] All tests pass\n- [ ] I signed it\n');
  expect(pull.body).not.toContain('hi -->');
});

it.skipIf(reason)('closes the issue when the agent claims it, and the comment keeps what came of the run', async () => {
  world = await createIssueWorld();

  await world.run([good, submit({ resolves: true })]);

  const [pull] = await world.repository.pullRequests();
  expect(pull.title).toBe(`Fix #${world.job.issue.number}: ${world.job.issue.title}`);
  expect(pull.body).toContain(`Closes #${world.job.issue.number}\n`);
  const [comment = ''] = await world.comments();
  expect(comment).toContain(`Draft pull request #${pull.number} is ready for review. Branch \`mayfly/issue-${world.job.issue.number}\`.`);
  expect(readRuns(comment)).toMatchObject([{ id: world.job.runId, state: 'done', pull: pull.number }]);
});
