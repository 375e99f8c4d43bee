/** What a reviewer should look at in the tests of a patch: tests that it deletes, skips, or narrows down. By counting words; nothing is run. */
import type { Patch } from '../job.ts';
import type { ReadBase } from './base-rules.ts';
import { isTestFile } from './paths.ts';

const skips =
  /\b(?:it|test|describe|context|suite|specify)\.(?:skip|todo|failing|fixme)\b|\b(?:xit|xtest|xdescribe|xcontext|xspecify)\s*\(|\bthis\.skip\(|\bt\.skip\(|@(?:pytest\.mark|unittest)\.(?:skip\w*|xfail)|\bpytest\.(?:skip|xfail)\(|\bself\.skipTest\(|\bt\.Skip(?:f|Now)?\(|#\[ignore\b|@(?:Disabled|Ignore)\b|\bskip:\s*(?:true|['"])/g;
const narrowings = /\b(?:it|test|describe|context|suite|specify)\.only\b|\b(?:fit|fdescribe)\s*\(/g;
const tests =
  /\b(?:it|test|specify)(?:\.(?:each|concurrent|failing|skip|only))?\s*[(`]|^[ \t]*(?:async[ \t]+)?def test\w*[ \t]*\(|^func (?:Test|Fuzz|Example)\w*\(|#\[(?:\w+::)*test\b|@(?:Parameterized)?Test\b/gm;

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

/** Sentences; the paths in them are hostile. Empty: nothing is taken away. */
export async function findWeakenedTests(patch: Patch, readBase: ReadBase): Promise<readonly string[]> {
  const sentences: string[] = [];
  for (const { path, change } of patch.files) {
    const isTest = isTestFile(path);
    if (change.kind === 'delete') {
      if (isTest) sentences.push(`The patch deletes the test file ${path}.`);
      continue;
    }
    if (!isTest && !/\.(?:rs|py)$/.test(path)) continue;
    const before = (await readBase(path)) ?? '';
    const after = Buffer.from(change.content).toString('utf8');
    const more = (pattern: RegExp): number => count(after, pattern) - count(before, pattern);
    if (more(skips) > 0) sentences.push(`The patch skips tests in ${path} (${more(skips)} more than before).`);
    if (more(narrowings) > 0) sentences.push(`The patch makes only some tests of ${path} run.`);
    if (more(tests) < 0) sentences.push(`The patch takes tests out of ${path} (${-more(tests)} fewer than before).`);
  }
  return sentences;
}
