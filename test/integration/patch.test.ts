/** The way of a repository into a guest and of a patch out of it, on real git and a real shell: the scripts are run by this host. */
import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { commitBaseline, fetchPatch, listChanges } from '../../src/fix/patch.ts';
import type { PatchEntry } from '../../src/fix/patch.ts';
import { dropUnchanged, judgeEntries } from '../../src/fix/policy.ts';
import { applyPatch } from '../../src/proof/apply.ts';
import { createReport, createTimer } from '../../src/fix/report.ts';
import { openWorkspace } from '../../src/fix/workspace.ts';
import type { Workspace } from '../../src/fix/workspace.ts';
import { createSnapshot } from '../../src/git/snapshot.ts';
import type { Snapshot } from '../../src/git/mirror.ts';
import type { Patch } from '../../src/job.ts';
import { createClosedGateway } from '../support/gateway/closed-gateway.ts';
import { createGitRepository } from '../support/git-repository.ts';
import type { GitRepository } from '../support/git-repository.ts';
import { renameWorkspace } from '../support/host-provider.ts';
import { barePlan } from '../support/plan.ts';
import { createHostSandbox, createHostSshd, whyNoSshd } from '../support/host-sshd.ts';
import type { HostSshd } from '../support/host-sshd.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: patches on real git were not tested: ${reason}\n`);

const { signal } = new AbortController();
const limits = { maxFiles: 100, maxBytes: 2 ** 20 };

describe.skipIf(reason)('a repository in a guest', () => {
  let host: HostSshd;
  let repository: GitRepository;
  let workspace: Workspace;
  let snapshot: Snapshot;
  beforeAll(() => {
    host = createHostSshd();
  });
  afterAll(() => host.remove());
  beforeEach(async () => {
    repository = createGitRepository();
    repository.commit({ 'older.txt': 'history\n' });
    repository.commit({
      'a.txt': 'one\n',
      'b.txt': 'two\n',
      'run.sh': '#!/bin/sh\n',
      empty: '',
      '.gitignore': 'ignored/\n',
      'crlf.txt': 'x\r\n',
      'AGENTS.md': 'rules\n',
    });
    repository.git('update-index', '--add', '--cacheinfo', `120000,${repository.feed('a.txt', 'hash-object', '-w', '--stdin')},link`);
    repository.git('update-index', '--add', '--cacheinfo', `100644,${repository.feed('deep\n', 'hash-object', '-w', '--stdin')},dir/sub/deep.txt`);
    repository.git('checkout', '-q', '--', '.');
    chmodSync(join(repository.directory, 'run.sh'), 0o755);
    repository.commit({});
    workspace = await open();
  });
  afterEach(async () => {
    await workspace[Symbol.asyncDispose]();
    await empty();
    repository[Symbol.dispose]();
  });

  async function open(setup: readonly string[] = []): Promise<Workspace> {
    const report = createReport('r');
    snapshot = createSnapshot({ directory: join(repository.directory, '.git'), sha: repository.git('rev-parse', 'HEAD'), environment: {} });
    return await openWorkspace({
      id: 'host',
      provider: { name: 'host', boot: async () => renameWorkspace(await createHostSandbox(host), host), sweep: () => Promise.resolve([]) },
      openGateway: createClosedGateway,
      surroundings: { caPem: '', guestEnv: {}, registryHosts: [], install: { path: '', argv: [] } },
      guestNodeVersion: '26.10.0',
      image: null,
      snapshot,
      plan: { ...barePlan, setup },
      limits: { setupTimeoutMs: 20_000, ancestors: 0 },
      report,
      timed: createTimer({ report, onEvent: () => {} }),
      signal,
    });
  }

  async function empty(): Promise<void> {
    const sandbox = await createHostSandbox(host);
    await sandbox.exec(['sh', '-c', 'chmod -R u+rwX . && find . -mindepth 1 -delete']);
    await sandbox.dispose();
  }

  async function sh(script: string): Promise<string> {
    const result = await workspace.sandbox.exec(['bash', '-c', script]);
    expect(result).toMatchObject({ exitCode: 0 });
    return result.stdout;
  }

  /** What the run would see after `script` did its work. */
  async function changesAfter(script: string): Promise<readonly PatchEntry[]> {
    const baseline = await commitBaseline(workspace.sandbox, signal);
    await sh(script);
    const listed = await listChanges(workspace.sandbox, baseline, signal);
    if (listed === 'too_large') throw new Error('too large');
    return dropUnchanged(listed, await snapshot.tree(signal));
  }

  async function patchAfter(script: string): Promise<Patch> {
    const entries = await changesAfter(script);
    const patch = await fetchPatch(workspace.sandbox, entries, { baseSha: snapshot.sha, maxBytes: limits.maxBytes, signal });
    if (patch === 'too_large') throw new Error('too large');
    return patch;
  }

  const shown = (patch: Patch): Record<string, string> =>
    Object.fromEntries(
      patch.files.map(({ path, change }) => [path, change.kind === 'delete' ? 'deleted' : `${change.mode} ${Buffer.from(change.content).toString('latin1')}`]),
    );

  it('arrives as one commit without remote, history or other refs, byte for byte', async () => {
    expect(await sh('git status --porcelain; git remote; git for-each-ref --format="%(refname)"; git rev-list --count HEAD')).toBe('refs/heads/main\n1\n');
    expect(readFileSync(join(host.layout.workspace, 'crlf.txt'), 'latin1')).toBe('x\r\n');
    expect(lstatSync(join(host.layout.workspace, 'link')).isSymbolicLink()).toBe(true);
    expect(lstatSync(join(host.layout.workspace, 'run.sh')).mode & 0o777).toBe(0o755);
  });

  it('gives back what was written, made executable, added and deleted', async () => {
    const patch = await patchAfter('echo 1 > a.txt; chmod +x b.txt; chmod -x run.sh; mkdir -p n/e/w; printf x > n/e/w/f; : > none; rm empty; rm -r dir');

    expect(shown(patch)).toEqual({
      'a.txt': '100644 1\n',
      'b.txt': '100755 two\n',
      'run.sh': '100644 #!/bin/sh\n',
      'n/e/w/f': '100644 x',
      none: '100644 ',
      empty: 'deleted',
      'dir/sub/deep.txt': 'deleted',
    });
  });

  it('is read the same way whatever the agent did with commits, branches and its index', async () => {
    const scripts = [
      'echo 1 > a.txt; git add .; git commit -qm x; git checkout -qb other; rm b.txt; git commit -qam y',
      'echo 1 > a.txt; rm b.txt; git stash -q; git stash apply -q',
      'echo 1 > a.txt; rm b.txt; rm .git/index',
      'echo 1 > a.txt; rm b.txt; echo rubbish > .git/index',
      'echo 1 > a.txt; rm b.txt; touch .git/index.lock',
      'git checkout -q --orphan lonely; git rm -rq --cached .; echo 1 > a.txt; rm b.txt',
      'echo 1 > a.txt; rm b.txt; git config core.fileMode false; git config core.sparseCheckout true; echo a.txt > .git/info/sparse-checkout',
      'echo 1 > a.txt; rm b.txt; git replace $(git rev-parse HEAD^{tree}) $(git write-tree --missing-ok)',
      'echo 1 > a.txt; rm b.txt; git config core.worktree /; git config diff.noprefix true; git config core.quotePath false; git config diff.orderFile /etc/passwd',
    ];
    for (const script of scripts) {
      expect([script, shown(await patchAfter(script))]).toEqual([script, { 'a.txt': '100644 1\n', 'b.txt': 'deleted' }]);
      await workspace[Symbol.asyncDispose]();
      await empty();
      workspace = await open();
    }
  }, 60_000);

  it('never runs the hooks and the monitor that were left in it, nor shows what is ignored', async () => {
    const marker = join(host.layout.workspace, 'ignored/ran');
    const program = `printf '#!/bin/sh\\ntouch ${marker}\\n' > .git/hooks/$h; chmod +x .git/hooks/$h`;
    const patch = await patchAfter(`mkdir ignored; for h in pre-commit post-index-change fsmonitor; do ${program}; done
      git config core.fsmonitor .git/hooks/fsmonitor; git config core.hooksPath .git/hooks; echo 1 > a.txt; echo x > ignored/made; rm -f ${marker}`);

    expect(Object.keys(shown(patch))).toEqual(['a.txt']);
    expect(existsSync(marker)).toBe(false);
  });

  it('counts what setup made as there before, and what setup changed as unchanged', async () => {
    await workspace[Symbol.asyncDispose]();
    await empty();
    workspace = await open(['echo made > lock.json && echo changed > b.txt']);

    expect(shown(await patchAfter('echo 1 > a.txt; git rm -q --cached lock.json; rm lock.json'))).toEqual({ 'a.txt': '100644 1\n' });
  });

  it('stores what git would store: line ends and filters of the repository apply', async () => {
    const patch = await patchAfter(`printf '*.txt text eol=lf\\n*.up filter=up\\n' > .git/info/attributes; git config filter.up.clean 'tr a-z A-Z'
      printf 'a\\r\\nb\\r\\n' > a.txt; echo word > x.up`);

    expect(shown(patch)).toMatchObject({ 'a.txt': '100644 a\nb\n', 'x.up': '100644 WORD\n' });
  });

  it.each([
    ['a new symbolic link', 'ln -s /etc/passwd escape', 'patch_mode'],
    ['a link in place of a file', 'ln -sf /etc/passwd a.txt', 'patch_mode'],
    ['a file in place of a link', 'rm link; echo x > link', 'patch_mode'],
    ['a repository in the repository', 'git init -q sub; cd sub; git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x', 'patch_mode'],
    ['a gitlink in the index', 'git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),module && mkdir module', 'patch_mode'],
    ['a workflow', 'mkdir -p .github/workflows; echo x > .github/workflows/x.yml', 'patch_protected_path'],
    ['a workflow in other letters', 'mkdir -p .GitHub/Workflows; echo x > .GitHub/Workflows/x.yml', 'patch_protected_path'],
    ['a deleted protected file', 'rm AGENTS.md', 'patch_protected_path'],
    ['names that differ by case', 'echo x > A.TXT', 'patch_path'],
    ['a name that is not UTF-8', "echo x > $'caf\\xe9'", 'patch_path'],
    ['a name with a line break', "echo x > $'a\\nb'", 'patch_path'],
    ['a backslash', "echo x > 'a\\b'", 'patch_path'],
    ['more files than allowed', 'for i in $(seq 101); do echo $i > f$i; done', 'patch_too_large'],
  ])('is refused with %s', async (_name, script, refusal) => {
    const entries = await changesAfter(script);

    expect(judgeEntries(entries, await snapshot.tree(signal), limits)).toMatchObject({ ok: false, reason: refusal });
  });

  it('says too large at the limit, also when many files share the same bytes', async () => {
    const options = { baseSha: snapshot.sha, maxBytes: 1000, signal };

    const big = await changesAfter('head -c 5000 /dev/zero > big');
    await expect(fetchPatch(workspace.sandbox, big, options)).resolves.toBe('too_large');
    const same = await changesAfter('rm big; for i in 1 2 3 4; do head -c 600 /dev/zero > same$i; done');
    await expect(fetchPatch(workspace.sandbox, same, options)).resolves.toBe('too_large');
  });

  it('is one clear failure when the repository is gone, or lies about its objects', async () => {
    const baseline = await commitBaseline(workspace.sandbox, signal);
    await sh('echo 1 > a.txt; mv .git away');

    await expect(listChanges(workspace.sandbox, baseline, signal)).rejects.toMatchObject({ code: 'patch_unreadable' });
  });

  it('is what a second guest has after the patch, exactly', async () => {
    const script = `echo 1 > a.txt; chmod -x run.sh; chmod +x b.txt; : > none; mkdir -p n/e/w; echo new > n/e/w/f
      rm -r dir; echo file > dir; rm empty; mkdir empty; echo deep > empty/deep; rm link`;
    const patch = await patchAfter(script);
    const wanted = await sh('git add -A; git write-tree');
    await workspace[Symbol.asyncDispose]();
    await empty();
    workspace = await open();
    await sh('mkdir -p dir/node_modules; echo "node_modules/" > .git/info/exclude; echo x > dir/node_modules/y');

    await applyPatch(workspace.sandbox, patch, signal);

    expect(await sh('git add -A; git write-tree')).toBe(wanted);
  });

  it('has no empty folders after files were deleted', async () => {
    await applyPatch(workspace.sandbox, { baseSha: snapshot.sha, files: [{ path: 'dir/sub/deep.txt', change: { kind: 'delete' } }] }, signal);

    expect(readdirSync(host.layout.workspace)).not.toContain('dir');
  });
});
