/**
 * `npm run check`: every script of package.json whose name begins with `check:`, as many beside each other as there are
 * processors. What a check says is shown when it has ended, so that no lines mix. All of them are run whatever fails.
 */
import { availableParallelism } from 'node:os';
import { execa } from 'execa';
import { z } from 'zod';
import { readText, root } from './repository.ts';

interface Check {
  readonly name: string;
  readonly program: string;
  readonly arguments: readonly string[];
}

interface Surroundings {
  readonly atOnce: number;
  readonly print: (text: string) => void;
}

/** The checks of package.json, in its order. */
export async function readChecks(): Promise<readonly Check[]> {
  const { scripts } = z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(await readText('package.json')));
  const names = Object.keys(scripts).filter((name) => name.startsWith('check:'));
  return names.map((name) => ({ name, program: process.execPath, arguments: ['--run', name] }));
}

/** Runs them and resolves to the names of those that failed: ended with another code than 0, by a signal, or did not start. */
export async function runChecks(checks: readonly Check[], { atOnce, print }: Surroundings): Promise<readonly string[]> {
  if (checks.length === 0) throw new Error('There is nothing to check.');
  const waiting = [...checks];
  const failures: string[] = [];
  const runNext = async (): Promise<void> => {
    const check = waiting.shift();
    if (!check) return;
    const { all, failed, shortMessage, durationMs } = await execa(check.program, check.arguments, {
      cwd: root,
      all: true,
      reject: false,
      stdin: 'ignore',
      ...(process.stdout.isTTY && { env: { FORCE_COLOR: '1' } }),
    });
    if (failed) failures.push(check.name);
    print(`\n${check.name}: ${failed ? `FAILED: ${shortMessage}` : 'passed'} (${(durationMs / 1000).toFixed(1)} s)\n${all ?? ''}`);
    await runNext();
  };
  await Promise.all(Array.from({ length: atOnce }, runNext));
  return failures;
}

if (import.meta.main) {
  const failures = await runChecks(await readChecks(), { atOnce: availableParallelism(), print: (text) => console.log(text) });
  console.log(failures.length === 0 ? '\nAll checks passed.' : `\nFAILED: ${failures.join(', ')}`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}
