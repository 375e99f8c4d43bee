/** A case of the eval that is as small as it gets: a greeting in shell, its fix, and the test that the fix brought. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case } from '../eval/case.ts';
import { createFolder, createGitRepository } from './git-repository.ts';

const hiddenTest = 'test "$(sh greet.sh ada)" = "Hello, ada!" && test "$(sh greet.sh bob)" = "Hello, bob!"\n';

export interface EvalWorld extends Disposable {
  /** Folder of clones: has `octo-org/greet`. */
  readonly repos: string;
  /** Folder of cases, one for each id. */
  readonly cases: string;
  /** Free for what the test writes. */
  readonly path: string;
  readonly of: Case;
}

export function createEvalWorld(ids: readonly string[]): EvalWorld {
  using stack = new DisposableStack();
  const { path } = stack.use(createFolder());
  const source = stack.use(createGitRepository());
  mkdirSync(join(source.directory, 'test'));
  source.commit({ 'README.md': 'Greets.\n' });
  const buggyCommit = source.commit({ 'greet.sh': 'echo "hello $1"\n', 'test/greet.sh': 'sh greet.sh ada | grep -qi hello\n' });
  const fixCommit = source.commit({ 'greet.sh': 'echo "Hello, $1!"\n', 'test/greet.sh': hiddenTest });
  const [repos, cases] = [join(path, 'repos'), join(path, 'cases')];
  for (const folder of [repos, cases]) mkdirSync(folder);
  source.git('clone', '--quiet', '--bare', '.', join(repos, 'octo-org/greet'));
  const of: Case = {
    id: 'greet',
    repository: 'octo-org/greet',
    buggyCommit,
    fixCommit,
    issue: { title: 'The greeting is sloppy', body: '`sh greet.sh ada` should print `Hello, ada!`, and so for every name.' },
    install: 'true',
    test: 'for t in test/*.sh; do sh $t || exit 1; done',
    hiddenTests: ['test/greet.sh'],
    fixTouches: ['greet.sh'],
  };
  for (const id of ids) writeFileSync(join(cases, `${id}.json`), JSON.stringify({ ...of, id }));
  const parts = stack.move();
  return { repos, cases, path, of, [Symbol.dispose]: () => parts.dispose() };
}
