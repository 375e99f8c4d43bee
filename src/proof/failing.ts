/**
 * The names of what failed, of runners that name nothing else: mocha's dot, min, progress and the like, jest of several
 * files. Hostile text; a list is taken only when it is as long as the runner's own total says.
 */
import { readCounts } from './counts.ts';
import { namesOf } from './results.ts';
import type { TestStates } from './results.ts';

const maxNameCharacters = 300;
const maxDepth = 20;

/** Every test that failed, each once; null when nobody knows whether it is all of them. */
export function readFailing(output: string, states: TestStates | null): ReadonlySet<string> | null {
  const failed = readCounts(output)?.failed ?? 0;
  if (failed === 0) return null;
  const lines = output.split(/\r?\n/).map((line) => line.slice(0, 1000));
  const lists = [readMochaList(lines), readJestBullets(lines), states === null ? [] : namesOf(states, 'failed')];
  const names = new Set(lists.find((list) => list.length > 0));
  return names.size === failed ? names : null;
}

/** After `2 failing`, numbered from 1: the title of each suite on a line of its own, two columns deeper than the one before, the last with a colon. */
function readMochaList(lines: readonly string[]): readonly string[] {
  const names: string[] = [];
  let [next, last] = [1, 0];
  for (const [index, line] of lines.entries()) {
    const announced = /^ {2}(\d{1,6}) failing$/.exec(line)?.[1];
    if (announced !== undefined) [next, last] = [1, Number(announced)];
    if (next > last || !line.startsWith(`  ${next}) `)) continue;
    const titles = [line.slice(`  ${next}) `.length)];
    for (let depth = 1; depth < maxDepth; depth++) {
      const title = lines[index + depth] ?? '';
      const indent = title.length - title.trimStart().length;
      if (indent !== 5 + 2 * depth) break;
      titles.push(title.trim());
    }
    names.push(titles.join(' > ').replace(/:$/, '').slice(0, maxNameCharacters));
    next += 1;
  }
  return names;
}

/** What jest says in the same way, and is no test. */
const noTest = /^(?:Test suite failed to run|Console|Cannot log after tests are done)/;

/** `● suite › test` below the line of its file; told once more at the end when there are many. */
function readJestBullets(lines: readonly string[]): readonly string[] {
  const names: string[] = [];
  let file = '';
  for (const line of lines) {
    file = /^FAIL +(\S{1,500})/.exec(line)?.[1] ?? file;
    const name = /^ {2}● (\S.{0,900})$/.exec(line)?.[1];
    if (name !== undefined && file !== '' && !noTest.test(name)) names.push(`${file} > ${name}`.slice(0, maxNameCharacters));
  }
  return names;
}
