/** Which runs may begin with a repository template: those whose base is in the history of the default branch, and of those the agent's VM alone. */
import { afterAll, describe, expect, it } from 'vitest';
import type { Home, RepositoryTemplates } from '../../src/fix/repository-template.ts';
import { openWorkspace } from '../../src/fix/workspace.ts';
import { describeFollow } from '../support/follow-world.ts';
import { aPublishRequest, openPort } from '../support/github-port.ts';
import { whyNoSshd } from '../support/host-sshd.ts';
import { bash, createIssueWorld, submit } from '../support/issue-world.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: which runs begin with a repository template was not tested: ${reason}\n`);

/** Has no template, but writes down who asked for one and when its making would begin. */
function createListener() {
  const asked: { home: Home; vm: string; sha: string }[] = [];
  const happened: string[] = [];
  const templates: RepositoryTemplates = {
    async open(options, home) {
      asked.push({ home, vm: options.id.slice(options.report.runId.length + 1), sha: options.snapshot.sha });
      happened.push('opened');
      return { workspace: await openWorkspace(options), refresh: () => happened.push('refreshed') };
    },
    idle: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  return { asked, happened, templates };
}

describe.skipIf(reason)('a repository template', () => {
  const stack = new AsyncDisposableStack();
  afterAll(async () => await stack.disposeAsync());

  it('is for the agent of an issue, by the ids of installation and repository, and is made when the VMs are gone', async () => {
    const { asked, happened, templates } = createListener();
    const { standIn, repository, run } = stack.use(await createIssueWorld());
    const { main } = await repository.branches();

    const { boots, report } = await run([bash('echo good > src.txt'), submit()], { repositoryTemplates: templates });

    const home = { server: new URL(standIn.webUrl).origin, installation: standIn.app.installationId, repository: repository.id };
    expect(asked).toEqual([{ home, vm: 'agent', sha: main }]);
    expect(boots).toEqual(['agent', 'proof']);
    expect(happened).toEqual(['opened', 'refreshed']);
    expect(report).toMatchObject({ outcome: { kind: 'published' }, template: null });
  });

  it('is not for held work, whose branch is not the default one', async () => {
    const { asked, templates } = createListener();
    const { standIn, repository, run } = stack.use(await createIssueWorld());
    const { main = '' } = await repository.branches();
    const change = { kind: 'write' as const, mode: '100644' as const, content: Buffer.from('nearly good\n') };
    const request = aPublishRequest(main, { branch: 'mayfly/issue-1-held', files: [{ path: 'src.txt', change }] });
    const { branch, headSha } = await openPort(standIn, repository).repository.hold(request);

    const { boots, report } = await run([bash('echo good > src.txt'), submit()], {
      repositoryTemplates: templates,
      job: { work: { kind: 'fix', instruction: null, plan: null, resume: { branch, headSha } } },
    });

    expect(report.outcome).toMatchObject({ kind: 'published' });
    expect(asked).toEqual([]);
    expect(boots).toEqual(['agent', 'proof']);
  });
});

describeFollow('a repository template of a pull request', {}, (world) => {
  it('is not for a pull request, whose branch anybody may have written', async () => {
    const { asked, templates } = createListener();
    await world.repository.comment({ as: 'ada', issue: world.pull, body: '/agent say better' });
    const [job] = await world.takeIn();

    const { report } = await world.run([bash('echo good, better > src.txt'), submit()], { repositoryTemplates: templates, job });

    expect(report.outcome).toMatchObject({ kind: 'pushed' });
    expect(asked).toEqual([]);
  });

  it('is for a merge, whose workspace begins with the default branch', async () => {
    const { asked, templates } = createListener();
    await world.repository.commit({ message: 'Meanwhile', files: { 'other.txt': 'new\n' } });
    await world.repository.comment({ as: 'ada', issue: world.pull, body: '/agent merge' });
    const [job] = await world.takeIn();
    const { main } = await world.repository.branches();

    const { report } = await world.run([submit()], { repositoryTemplates: templates, job });

    expect(report.outcome).toMatchObject({ kind: 'pushed' });
    expect(asked.map(({ vm, sha }) => [vm, sha])).toEqual([['agent', main]]);
  });
});
