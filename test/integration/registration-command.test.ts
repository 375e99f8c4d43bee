/** `mayfly setup github` as a process: what is shown, what is not, and how it ends. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openPage, submitForm } from '../support/browser.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { root } from '../support/repository.ts';
import { createSmee } from '../support/smee.ts';

let gitHub: StandInGitHub;
let directory: string;

beforeEach(async () => {
  gitHub = await createStandInGitHub();
  directory = await mkdtemp(join(tmpdir(), 'registration-'));
});
afterEach(async () => {
  await gitHub.close();
  await rm(directory, { recursive: true });
});

function run(options: readonly string[]) {
  const env = { PATH: process.env['PATH'], GITHUB_API_URL: gitHub.apiUrl, GITHUB_SERVER_URL: gitHub.webUrl, LOG_LEVEL: 'trace' };
  return execa(process.execPath, [join(root, 'src/main.ts'), 'setup', 'github', '--out', directory, ...options], { env, extendEnv: false, reject: false });
}

/** Runs it, and does in the browser what it asks for; or what a test wants instead. */
async function register(
  options: readonly string[],
  visit = async (address: string): Promise<unknown> => await submitForm(await submitForm(await openPage(address))),
) {
  const running = run(options);
  for await (const line of running.iterable({ from: 'stderr' })) {
    const address = /^ {2}(http:\S+)$/.exec(line)?.[1];
    if (address) await visit(address).then((isDone) => isDone === false && running.kill('SIGINT'));
  }
  return await running;
}

describe('mayfly setup github', () => {
  it('says what comes next, and shows no secret, whatever the log level', async () => {
    const { exitCode, stdout, stderr } = await register(['--name', 'Mine', '--webhook-url', 'https://mayfly.example.com']);

    expect(exitCode).toBe(0);
    expect(gitHub.registrations.posted).toMatchObject([
      { manifest: { name: 'Mine', hook_attributes: { url: 'https://mayfly.example.com/api/github/webhooks' } }, problems: [] },
    ]);
    for (const said of ['/apps/mayfly/installations/new', `${directory}/mayfly.env`, 'npx mayfly start']) expect(stdout).toContain(said);
    const environment = await readFile(join(directory, 'mayfly.env'), 'utf8');
    const secrets = [...environment.matchAll(/^(?:WEBHOOK_SECRET|MAYFLY_JOB_KEY)=(.+)$/gm)].map(([, secret = '']) => secret);
    expect(secrets).toHaveLength(2);
    for (const secret of [...secrets, 'PRIVATE KEY', gitHub.app.privateKey.split('\n')[1] ?? '']) expect(stdout + stderr).not.toContain(secret);
  });

  it('prints one object with --json', async () => {
    const { stdout } = await register(['--json']);

    expect(JSON.parse(stdout.split('\n').at(-1) ?? '')).toMatchObject({ slug: 'mayfly', webhookUrl: null, channel: null, keyFile: `${directory}/mayfly.pem` });
  });

  it('puts the channel of --dev-proxy into the App, says that others read along, and ends when it is stopped', async () => {
    const smee = await createSmee();
    let theirs = '';

    const { exitCode, stderr } = await register(['--dev-proxy', smee.url], async (address) => {
      // A channel on this machine is not public, so the stand-in says no to it, as GitHub would.
      theirs = (await submitForm(await openPage(address))).text;
      return false;
    });
    smee.close();

    expect(theirs).toContain('not reachable over the public Internet');
    expect(gitHub.registrations.posted).toMatchObject([{ manifest: { hook_attributes: { url: `${smee.url}/AbC-dEf_1`, active: true } } }]);
    expect(stderr).toMatch(new RegExp(`^For development only: .*${smee.url}/AbC-dEf_1`, 'm'));
    expect(exitCode).toBe(130);
  });

  it('ends with the code of what is wrong', async () => {
    await writeFile(join(directory, 'mayfly.pem'), 'mine');

    expect(await run([])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(`file: ${directory}/mayfly.pem`) as unknown });
    expect(await run(['--webhook-url', 'http://mayfly.example.com'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('https://') as unknown });
    expect(await run(['--webhook-url', 'https://a.example', '--dev-proxy'])).toMatchObject({ exitCode: 2 });
    expect(gitHub.registrations.posted).toEqual([]);
  });
});
