/** The proof and its rounds in whole runs on the stand-in GitHub: what is claimed, what goes back to the agent, what is kept. */
import { afterEach, describe, expect, it } from 'vitest';
import { failOnViolations } from '../support/github/clients.ts';
import { whyNoSshd } from '../support/host-sshd.ts';
import { bash, createIssueWorld, submit } from '../support/issue-world.ts';
import type { IssueRun, IssueWorld, RunChange } from '../support/issue-world.ts';
import type { PlannedReply } from '../support/scripted-model.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: proofs on folders of this host were not tested: ${reason}\n`);

const testScript = (script: string): Record<string, string> => ({ 'package.json': JSON.stringify({ name: 'x', scripts: { test: script } }) });
/** Every file in test/ is a test; TAP names them. */
const eachFile = testScript('for t in test/*.sh; do if sh "$t"; then echo "ok - $t"; else echo "not ok - $t"; code=1; fi; done; exit ${code:-0}');
const fix = 'echo good > src.txt';
const ownTest = (text: string): string => `mkdir -p test && printf '%s\\n' '${text}' > test/own.sh`;

describe.skipIf(reason)('a proof', () => {
  let world: IssueWorld;
  afterEach(async () => {
    failOnViolations(world.standIn);
    await world[Symbol.asyncDispose]();
  });

  async function run(files: Record<string, string>, replies: readonly PlannedReply[], change: RunChange = {}): Promise<IssueRun> {
    world = await createIssueWorld(files);
    return await world.run(replies, change);
  }

  const bodyOfPull = async (): Promise<string> => (await world.repository.pullRequests())[0].body as string;
  const checksOf = async (branch: string): Promise<readonly Record<string, unknown>[]> => {
    const sha = (await world.repository.branches())[branch];
    return (await world.repository.checks(sha ?? '')).map(({ conclusion, output }) => ({ conclusion, title: (output as { title: string }).title }));
  };

  it('is proven when the test of the patch fails without its fix, is named, and is a check on the commit', async () => {
    const { report } = await run({ ...eachFile, 'test/old.sh': 'true' }, [
      bash(`${fix}; ${ownTest('grep -q good src.txt')}; echo true > test/guard.sh`),
      submit(),
    ]);

    expect(report.proof).toMatchObject({ verdict: 'proven', base: { exitCode: 0 }, tests: { exitCode: 1 }, patched: { exitCode: 0 }, fixed: ['test/own.sh'] });
    expect(await bodyOfPull()).toMatch(/Failed before and pass now:\n\n- `test\/own.sh`/);
    expect(report.proof?.findings).toEqual(['Of 2 new tests, 1 pass with and without the fix.']);
    expect(await checksOf('mayfly/issue-1')).toEqual([{ conclusion: 'success', title: 'Proven' }]);
  });

  it('claims nothing when the test of the patch passes without its fix, and says so', async () => {
    const { report } = await run({ ...eachFile, 'test/old.sh': 'true' }, [bash(`${fix}; ${ownTest('true')}`), submit()]);

    expect(report.proof).toMatchObject({ verdict: 'not_contradicted', tests: { exitCode: 0 } });
    expect(await bodyOfPull()).toContain('**Not contradicted, which is less than proven: the tests of the patch pass without its fix, too.**');
    expect(await checksOf('mayfly/issue-1')).toEqual([{ conclusion: 'neutral', title: 'Not contradicted, which is less than proven' }]);
  });

  it('does not believe a patch that makes the test command true', async () => {
    const { report } = await run(testScript('grep -q good src.txt'), [bash(`${fix}; sed -i 's/grep -q good src.txt/true/' package.json`), submit()]);

    expect(report.proof).toMatchObject({ verdict: 'not_contradicted' });
    expect(await bodyOfPull()).toContain('The patch changes what decides how tests are run: scripts of package.json.');
  });

  it('does not believe a patch that deletes what fails', async () => {
    const { report } = await run({ ...eachFile, 'test/old.sh': 'true', 'test/red.sh': 'false' }, [bash(`${fix}; rm test/red.sh`), submit()]);

    expect(report.proof).toMatchObject({ verdict: 'not_contradicted' });
    expect(await bodyOfPull()).toContain('The patch deletes the test file test/red.sh.');
  });

  it('finds the fix in a suite that is red from the start', async () => {
    const { report } = await run({ ...eachFile, 'test/red.sh': 'false' }, [bash(`${fix}; ${ownTest('grep -q good src.txt')}`), submit()]);

    expect(report.proof).toMatchObject({ verdict: 'proven', patched: { exitCode: 1 }, fixed: ['test/own.sh'] });
    expect(await bodyOfPull()).toContain('| base | 1 | 0 passed, 1 failed |');
  });

  it('reads the report files of a runner that prints no names, but not those of an earlier run', async () => {
    const each = 'for t in test/*.sh; do echo "<testcase name=\\"$t\\">"; sh "$t" || { code=1; echo "<failure/>"; }; echo "</testcase>"; done';
    const script = `mkdir -p target/surefire-reports; { ${each}; } > target/surefire-reports/TEST-all.xml; exit \${code:-0}`;
    const stale = '<testcase name="stale"/><testcase name="stale too"/>';
    const setup = `mkdir -p target/surefire-reports; echo '${stale}' > target/surefire-reports/TEST-stale.xml`;
    const files = {
      ...testScript('sh run.sh'),
      'run.sh': script,
      '.gitignore': 'target\n',
      'test/red.sh': 'false',
      'test/green.sh': 'true',
    };
    const { report } = await run({ ...files, '.github/mayfly.yml': `setup: [${JSON.stringify(setup)}]\n` }, [
      bash(`${fix}; ${ownTest('grep -q good src.txt')}`),
      submit(),
    ]);

    expect(report.proof).toMatchObject({ verdict: 'proven', fixed: ['test/own.sh'], patched: { exitCode: 1, results: { passed: 2, failed: 1 } } });
    expect(report.proof?.base?.results).toEqual({ passed: 1, failed: 1, skipped: 0, failing: ['test/red.sh'] });
  });

  it('builds again what setup built, so that the patch is judged by its own build', async () => {
    const build = { '.github/mayfly.yml': 'setup: ["npm run --silent build"]\n', '.gitignore': 'dist\n' };
    const scripts = { build: 'mkdir -p dist && cp src.txt dist/', test: 'grep -q good dist/src.txt' };
    const { report } = await run({ ...build, 'package.json': JSON.stringify({ name: 'x', scripts }) }, [bash(fix), submit()]);

    expect(report.proof).toMatchObject({ verdict: 'proven', base: { exitCode: 1 }, patched: { exitCode: 0 } });
  });

  it('does not give root to what the patch has made of the build, and says that this is why nothing is proven', async () => {
    const build = { '.github/mayfly.yml': 'setup: ["sudo -n true && npm run --silent build"]\n', '.gitignore': 'dist\n' };
    const scripts = { build: 'sh build.sh', test: 'grep -q good dist/src.txt' };
    const files = { ...build, 'build.sh': 'mkdir -p dist && cp src.txt dist/', 'package.json': JSON.stringify({ name: 'x', scripts }) };
    const { report } = await run(files, [bash(`${fix}; echo 'sudo -n id -un && exit 0; exit 1' > build.sh`), submit()]);

    expect(report.proof).toMatchObject({ verdict: 'could_not_run', base: { exitCode: 1 }, patched: { command: 'the setup commands' } });
    expect(await bodyOfPull()).toContain('**Not proven: the setup commands had to run once more, with the files of the patch in place, and then have no root,');
    expect(report.proof?.findings).toContain('What setup installs with sudo is that of the base: it was not run again with the patch.');
  });

  it('names a flaky test', async () => {
    const flips = 'f=$(git rev-parse --git-dir)/flip; test -e $f && rm $f || { touch $f; false; }';
    const { report } = await run({ ...eachFile, 'test/flips.sh': flips }, [bash(fix), submit()]);

    expect(report.proof).toMatchObject({ verdict: 'flaky', flaky: ['test/flips.sh'] });
    expect(await bodyOfPull()).toContain('Ended differently the second time:\n\n- `test/flips.sh`');
  });

  it('ends a suite that hangs at its limit, and says so', async () => {
    const shown = /\*\*Not proven: on the base, the tests did not end within \d+ s\.\*\*[^]*\| base \| time limit \|[^]*BEGUN/;
    let body = '';
    // Again with twice the time, when that was too little for the first word: how fast a suite begins is not what is asked.
    for (let proofTimeoutMs = 3000; proofTimeoutMs < 30_000 && !shown.test(body); proofTimeoutMs *= 2) {
      const { report } = await run(testScript('echo begun | tr a-z A-Z; sleep 600'), [bash(fix), submit()], { limits: { proofTimeoutMs } });
      expect(report).toMatchObject({ outcome: { kind: 'published' }, proof: { verdict: 'could_not_run', base: { ended: 'timeout' }, patched: null } });
      body = await bodyOfPull();
      await world[Symbol.asyncDispose]();
    }

    expect(body).toMatch(shown);
  });

  it('says that nothing was proven without tests', async () => {
    const { report } = await run(testScript(''), [bash(fix), submit()]);

    expect(report.proof).toMatchObject({ verdict: 'nothing_to_run' });
    expect(await bodyOfPull()).toContain('**Nothing was proven**');
  });

  it('gives a regression back to the agent, whose next round is proven in another VM', async () => {
    const suite = { ...eachFile, 'test/kept.sh': 'test -e kept.txt', 'kept.txt': 'x' };
    const { report, boots, model } = await run(suite, [
      bash(`${fix}; rm kept.txt`),
      submit(),
      bash('git checkout -q kept.txt'),
      submit({ summary: 'Mended.' }),
    ]);

    const said = model.questions[2]?.messages.at(-1);
    expect(said?.role === 'user' && said.text).toMatch(
      /^Your patch was not taken: the tests pass without the patch and fail with it\.[^]*test\/kept\.sh[^]*not ok - test\/kept\.sh/,
    );
    expect(boots).toEqual(['agent', 'proof', 'proof2']);
    expect(report).toMatchObject({ outcome: { kind: 'published' }, proof: { verdict: 'not_contradicted' }, summary: 'Mended.', leftovers: [] });
  });

  it('keeps what stays a regression on a held branch, opens no pull request, and says why', async () => {
    const suite = { ...eachFile, 'test/kept.sh': 'test -e kept.txt', 'kept.txt': 'x' };
    const { report } = await run(suite, [bash(`${fix}; rm kept.txt`), submit(), bash('true'), submit()]);

    expect(report.outcome).toMatchObject({ kind: 'refused', reason: 'regressed' });
    expect(await world.repository.pullRequests()).toEqual([]);
    expect(await world.repository.file('mayfly/issue-1-held', 'src.txt')).toBe('good\n');
    expect(await checksOf('mayfly/issue-1-held')).toEqual([{ conclusion: 'failure', title: 'Regressed' }]);
    const [living] = await world.comments();
    expect(living).toContain('The work so far is on the branch `mayfly/issue-1-held`.');
    expect(living).toMatch(/Fail with the patch only:\n\n- `test\/kept.sh`/);
  });

  it('takes the agent at its word when it cannot mend a regression', async () => {
    const suite = { ...eachFile, 'test/kept.sh': 'test -e kept.txt', 'kept.txt': 'x' };
    const { report } = await run(suite, [bash(`${fix}; rm kept.txt`), submit(), submit({ noChange: true, summary: 'Cannot be both.' })]);

    expect(report.outcome).toMatchObject({ kind: 'refused', reason: 'regressed' });
    expect(report.heldBranch).toBe('mayfly/issue-1-held');
  });
});
