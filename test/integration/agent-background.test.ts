/** Processes in the background, and outputs in files, over the real channel to a real bash. No isolation: the commands are ours. */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ToolContext, ToolResult } from '../../src/agent/tool.ts';
import { runCall } from '../../src/agent/tools.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { createHostSandbox, createHostSshd, whyNoSshd } from '../support/host-sshd.ts';
import type { HostSshd } from '../support/host-sshd.ts';
import { aToolContext } from '../support/play-agent.ts';

const missing = whyNoSshd();
if (missing !== null) process.stderr.write(`skipped: background processes over a real channel, because ${missing}\n`);

describe.skipIf(missing !== null)('bash on a real system', () => {
  let host: HostSshd;
  let sandbox: Sandbox;
  let context: ToolContext;
  const bash = (command: string, more: Record<string, unknown> = {}): Promise<ToolResult> =>
    runCall({ id: '1', name: 'bash', input: { command, ...more } }, context);
  const start = async (command: string): Promise<{ pid: string; file: string }> => {
    const { text, failed } = await bash(command, { background: true });
    expect({ failed, text }).toMatchObject({ failed: false });
    return { pid: /PID (\d+)/.exec(text)?.[1] ?? '', file: /goes to (\S+):/.exec(text)?.[1] ?? '' };
  };
  /** Waits in the guest, within the time limit of a command. */
  const until = (condition: string): Promise<ToolResult> => bash(`until ${condition}; do sleep 0.05; done; echo done`);

  beforeAll(async () => {
    host = createHostSshd();
    sandbox = await createHostSandbox(host);
    mkdirSync(join(host.layout.workspace, '../scratch'));
    chmodSync(join(host.layout.workspace, '../scratch'), 0o777);
  });
  beforeEach(() => {
    const scratch = join(host.layout.workspace, '../scratch', crypto.randomUUID().slice(0, 8));
    context = aToolContext({ sandbox, commandTimeoutMs: 20_000, scratch });
  });
  afterEach(() => context.background.end());
  afterAll(async () => {
    await sandbox.dispose();
    host.remove();
  });

  it('starts a process that goes on, is read, and is stopped with everything it started', async () => {
    const mark = `mark${crypto.randomUUID().slice(0, 8)}`;
    await bash(`export GREETING=hello`);
    const { pid, file } = await start(`echo $GREETING; (exec -a ${mark} sleep 300) & for i in 1 2; do echo tick $i; done; wait`);

    expect((await until(`grep -q 'tick 2' ${file}`)).text).toContain('done');
    expect((await bash(`tail -n 3 ${file}`)).text).toMatch(/^hello\ntick 1\ntick 2\n/);
    expect((await bash(`kill ${pid}`)).text).toContain('[exit code 0');
    expect((await until(`! pgrep -f '[m]${mark.slice(1)} '`)).text).toMatch(new RegExp(`^done|background process ${pid} has ended`));
  });

  it('says once when a process has ended by itself', async () => {
    const gate = `gate-${crypto.randomUUID()}`;
    const { pid, file } = await start(`until [ -e ${gate} ]; do sleep 0.05; done; echo bye; exit 3`);
    let heard = (await bash(`touch ${gate}`)).text;
    heard += (await until(`grep -q 'exit code 3' ${file}`)).text;
    // The process ends a moment after its last line.
    for (let call = 0; call < 100 && !heard.includes('has ended'); call++) heard += (await bash('true')).text;
    heard += (await bash('true')).text;

    expect(heard.match(new RegExp(`background process ${pid} has ended: exit code 3`, 'g'))).toHaveLength(1);
  });

  it('tells at once why a process did not stay', async () => {
    // On a slow machine not even this one has ended when it is looked at for the first time, but then another has.
    await expect
      .poll(() => bash('echo port is taken >&2; exit 1', { background: true }))
      .toMatchObject({ failed: true, text: expect.stringMatching(/^It has ended already, and left this in \S+:\nport is taken\n\[exit code 1\]$/) });
  });

  it('runs at most four, and none of them outlives the end of the round', async () => {
    const mark = `mark${crypto.randomUUID().slice(0, 8)}`;
    await Promise.all(Array.from({ length: 4 }, () => start(`setsid -f bash -c 'exec -a ${mark} sleep 300'; sleep 300`)));
    expect(await bash('sleep 300', { background: true })).toMatchObject({
      failed: true,
      text: expect.stringMatching(/^Not started: 4 .* \(\d+, \d+, \d+, \d+\)/),
    });

    await context.background.end();

    expect((await bash(`pgrep -f '[m]${mark.slice(1)} ' || echo none`)).text).toMatch(/^none\n/);
    expect((await bash('sleep 300', { background: true })).failed).toBe(false);
  });

  it('is ended with the run when nobody ends it', async () => {
    const stop = new AbortController();
    context = { ...context, signal: stop.signal };
    const mark = `mark${crypto.randomUUID().slice(0, 8)}`;
    await start(`exec -a ${mark} sleep 300`);
    stop.abort();
    await context.background.end();
    context = { ...context, signal: new AbortController().signal };

    expect((await bash(`pgrep -f '[m]${mark.slice(1)} ' || echo none`)).text).toMatch(/^none\n/);
  });

  it('says when a command left something running that is killed with it', async () => {
    expect((await bash('sleep 300 & echo started')).text).toMatch(/^started\n\[what it left running is killed: use background: true/);
  });

  it('keeps an output that is too long to show in a file', async () => {
    const { text } = await bash('seq 1 400000');
    const file = /the whole output is in (\S+)\]/.exec(text)?.[1];

    expect(text).toMatch(/^1\n2\n[\s\S]*\n\[\.\.\. \d+ lines .*left out[\s\S]*\n400000\n\[the whole/);
    expect((await bash(`sed -n 200000p ${file}; wc -l < ${file}`)).text).toMatch(/^200000\n400000\n/);
  });

  it('keeps also what a command said that was stopped', async () => {
    let [text, end] = ['', ''];
    // Again with twice the time, where that was too little for what it says.
    for (let timeoutSeconds = 2; timeoutSeconds <= 16 && !end.startsWith('100000\n'); timeoutSeconds *= 2) {
      ({ text } = await bash('seq 1 100000; sleep 300', { timeoutSeconds }));
      end = (await bash(`tail -n 1 ${/is in (\S+)\]/.exec(text)?.[1]}`)).text;
    }

    expect(text).toMatch(/stopped after \d+ s/);
    expect(end).toMatch(/^100000\n/);
  });
});
