/** The tools over the real channel to a real bash and git. No isolation: the commands are ours. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readStartCommit } from '../../src/agent/submit.ts';
import type { ToolContext } from '../../src/agent/tool.ts';
import { runCall } from '../../src/agent/tools.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { createHostSandbox, createHostSshd, whyNoSshd } from '../support/host-sshd.ts';
import type { HostSshd } from '../support/host-sshd.ts';
import { aToolContext } from '../support/play-agent.ts';
import { aSubmission } from '../support/scripted-model.ts';

const missing = whyNoSshd();
if (missing !== null) process.stderr.write(`skipped: tools over a real channel, because ${missing}\n`);

describe.skipIf(missing !== null)('the tools on a real system', () => {
  let host: HostSshd;
  let sandbox: Sandbox;
  let context: ToolContext;
  const use = async (name: string, input: unknown): Promise<string> => (await runCall({ id: '1', name, input }, context)).text;
  const bash = (command: string, timeoutSeconds?: number): Promise<string> => use('bash', { command, timeoutSeconds });
  const path = (name: string): string => join(host.layout.workspace, name);

  beforeAll(async () => {
    host = createHostSshd();
    sandbox = await createHostSandbox(host);
    const state = path('../state');
    mkdirSync(state);
    chmodSync(state, 0o777);
    context = aToolContext({ sandbox, commandTimeoutMs: 20_000, scratch: `${state}/mayfly` });
    await bash('git init -q . && git config user.email a@b.test && git config user.name A && echo one > a.txt && git add . && git commit -qm one');
    context = { ...context, startCommit: await readStartCommit(context) };
  });
  afterAll(async () => {
    await sandbox.dispose();
    host.remove();
  });

  it('bash shows both outputs in order, and the exit code', async () => {
    expect(await bash('echo 1; echo 2 >&2; echo 3; exit 7')).toMatch(/^1\n2\n3\n\[exit code 7, [\d.]+ s\]$/);
  });

  it('bash leaves nothing in the /tmp of this host', async () => {
    const file = `/tmp/mayfly-${crypto.randomUUID()}`;

    expect(await bash(`touch ${file} && ls ${file}`)).toContain('[exit code 0');
    expect(existsSync(file)).toBe(false);
  });

  it('bash keeps directory and variables, also after exit and with any value', async () => {
    await bash(`mkdir -p 'd ir/x' && cd 'd ir/x' && export ODD=$'a\\'b\\n"c $(id)' && exit 3`);

    expect(await bash('basename "$PWD"; printf %s "$ODD"')).toMatch(/^x\na'b\n"c \$\(id\)\n\[exit code 0/);
    await bash('cd ../..');
  });

  it('bash keeps the state of before when a command is killed or replaces the shell', async () => {
    await bash('export KEPT=yes');
    await bash('export KEPT=no; exec true');
    expect(await bash('export KEPT=no; sleep 60', 0.5)).toMatch(/stopped after 0\.5 s/);

    expect(await bash('echo $KEPT')).toMatch(/^yes\n/);
  });

  it('bash gives no input, so that nothing waits for a person', async () => {
    expect(await bash('read -r line || echo no input; git --no-pager log --oneline | cat | wc -l')).toMatch(/^no input\n1\n/);
  });

  it('bash survives a syntax error, quotes and a directory that is gone', async () => {
    expect(await bash('if')).toMatch(/syntax error[\s\S]*\[exit code [12]/);
    expect(await bash(`echo "it's" '"' \\$HOME`)).toMatch(/^it's " \$HOME\n/);
    await bash('mkdir gone && cd gone && rmdir ../gone');
    expect(await bash('echo here')).toContain('here\n[exit code 0');
  });

  it('bash leaves nothing running', async () => {
    const mark = `mark${crypto.randomUUID().slice(0, 8)}`;
    await bash(`cd ${host.layout.workspace}; (exec -a ${mark} sleep 300) & echo started`);

    expect(await bash(`pgrep -f '[m]${mark.slice(1)} ' || echo none`)).toMatch(/^none\n/);
  });

  it('bash shortens a flood and still tells its end', async () => {
    const text = await bash('yes flood | head -n 3000000; echo the end');

    expect(text.length).toBeLessThan(20_000);
    expect(text).toMatch(/lines .* left out[\s\S]*the end\n\[the whole output is in \S+\]\n\[exit code 0/);
  });

  it('edit and read work on files as they are: mode, links, new directories', async () => {
    writeFileSync(path('run.sh'), '#!/bin/sh\necho old\n');
    execFileSync('chown', ['nobody', path('run.sh')]);
    chmodSync(path('run.sh'), 0o755);
    symlinkSync('run.sh', path('link.sh'));

    expect(await use('edit', { path: path('link.sh'), old: 'echo old', new: 'echo new' })).toContain('2|echo new');
    expect(await use('edit', { path: path('new/deep/file.txt'), old: '', new: 'text\n' })).toContain('1|text');
    expect(await use('read', { path: path('run.sh') })).toContain('1|#!/bin/sh\n2|echo new');
    expect(lstatSync(path('link.sh')).isSymbolicLink()).toBe(true);
    expect(lstatSync(path('run.sh')).mode & 0o777).toBe(0o755);
    expect(readFileSync(path('new/deep/file.txt'), 'utf8')).toBe('text\n');
  });

  it('edit and read teach about what is no file or not theirs', async () => {
    expect(await use('read', { path: path('.') })).toMatch(/not a regular file/);
    expect(await use('read', { path: '/dev/zero' })).toMatch(/not a regular file/);
    expect(await use('read', { path: '/etc/shadow' })).toMatch(/may not be read/);
    expect(await use('edit', { path: '/etc/mayfly-test', old: '', new: 'x' })).toMatch(/could not be written/);
    expect(await use('read', { path: path('none') })).toMatch(/does not exist/);
  });

  it('submit sees a change, committed or not, and the lack of one', async () => {
    await bash('git clean -qfdx && git checkout -q .');
    expect(await use('submit', aSubmission)).toMatch(/^Nothing in/);

    await bash('echo two > new.txt');
    expect(await use('submit', aSubmission)).toBe('Handed in.');

    await bash('git add . && git commit -qm two');
    expect(await use('submit', aSubmission)).toBe('Handed in.');
  });
});
