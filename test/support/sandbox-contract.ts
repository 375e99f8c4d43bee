/**
 * What every sandbox must do, whatever provider made it: run `sandboxContract` on a new provider and believe it only
 * when all of it passes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { testCommands } from './sandbox-contract/commands.ts';
import { testEndings } from './sandbox-contract/endings.ts';
import { testFiles } from './sandbox-contract/files.ts';
import { testForwards } from './sandbox-contract/forwards.ts';
import { testOutputs } from './sandbox-contract/outputs.ts';
import { createSubject, run } from './sandbox-contract/subject.ts';
import type { Subject } from './sandbox-contract/subject.ts';
import { testSudo } from './sandbox-contract/sudo.ts';

/** What the agent finds in every guest. */
const tools: readonly (readonly string[])[] = [
  ['ls', '-la', '/'],
  ['stat', '/etc/passwd'],
  ['git', '--version'],
  ['node', '-e', 'console.log(process.version)'],
  ['npm', '--version'],
  ['python3', '-c', 'print(6 * 7)'],
];

/** Declares the tests. One sandbox serves all of them, but for those that dispose it. */
export function sandboxContract(name: string, createSandbox: () => Promise<Sandbox>, skipped = false): void {
  describe.skipIf(skipped)(`${name} keeps the sandbox contract`, () => {
    let made: Subject | undefined;
    const subject = (): Subject => {
      if (!made) throw new Error('no sandbox was made');
      return made;
    };
    beforeAll(async () => {
      made = await createSubject(await createSandbox());
    });
    afterAll(async () => {
      await made?.sandbox.exec(['rm', '-rf', made.scratch], { user: 'root', cwd: '/' });
      await made?.sandbox.dispose();
    });

    describe('commands', () => {
      testCommands(subject);
    });
    describe('outputs', () => {
      testOutputs(subject);
    });
    describe('endings', () => {
      testEndings(subject, createSandbox);
    });
    describe('files', () => {
      testFiles(subject);
    });
    describe('forwards', () => {
      testForwards(subject);
    });
    describe('sudo', () => {
      testSudo(subject);
    });
    describe('tools', () => {
      testTools(subject);
    });
    describe('disposal', () => {
      testDisposal(createSandbox);
    });
  });
}

function testTools(subject: () => Subject): void {
  test('the agent is not root, and its user is what the workspace belongs to', async () => {
    const { sandbox } = subject();

    const { stdout } = await run(sandbox, ['sh', '-c', 'id -u; stat -c %u .']);

    const [user, owner] = stdout.trim().split('\n');
    expect(user).not.toBe('0');
    expect(owner).toBe(user);
  });

  for (const argv of tools) {
    test(`${argv.slice(0, 2).join(' ')} works for the agent`, async () => {
      const { stdout } = await run(subject().sandbox, argv);

      expect(stdout.trim()).not.toBe('');
    });
  }
}

function testDisposal(createSandbox: () => Promise<Sandbox>): void {
  test('dispose leaves nothing, twice, and everything after it says that the sandbox is gone', async () => {
    const sandbox = await createSandbox();
    const pending = sandbox.exec(['sleep', '100']).catch((thrown: unknown) => thrown);

    expect(await sandbox.dispose()).toEqual([]);
    expect(await sandbox.dispose()).toEqual([]);

    expect(await pending).toMatchObject({ code: 'sandbox_lost' });
    for (const late of [
      () => sandbox.exec(['true']),
      () => sandbox.put('/tmp/late', 'text'),
      () => sandbox.get('/etc/passwd', { maxBytes: 1000 }),
      () => sandbox.forward(3128, () => {}),
    ]) {
      await expect(late()).rejects.toMatchObject({ code: 'sandbox_lost' });
    }
  });
}
