/** Real repositories on disk for tests of git: made, changed and read with git itself, away from the host's own settings. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const environment = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: '/nonexistent',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  ...Object.fromEntries(['AUTHOR', 'COMMITTER'].flatMap((who) => [[`GIT_${who}_NAME`, 'ada'] as const, [`GIT_${who}_EMAIL`, 'ada@example.org'] as const])),
};

export interface GitRepository extends Disposable {
  readonly directory: string;
  /** Runs git in it and returns what it printed, trimmed. */
  git(...rest: string[]): string;
  /** The same with standard input. */
  feed(input: string | Uint8Array, ...rest: string[]): string;
  /** One commit of these files on the branch that is checked out. Returns its id. */
  commit(files: Readonly<Record<string, string | Uint8Array>>): string;
}

/** An empty folder that goes away with its scope. */
export function createFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'mayfly-test-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A repository with a work tree on `main` and no commit. */
export function createGitRepository(): GitRepository {
  const folder = createFolder();
  const run = (input: string | Uint8Array, ...rest: string[]): string =>
    execFileSync('git', ['-C', folder.path, ...rest], { env: environment, input, maxBuffer: 2 ** 26, stdio: ['pipe', 'pipe', 'pipe'] })
      .toString()
      .trim();
  run('', 'init', '--quiet', '--initial-branch=main');
  return {
    directory: folder.path,
    git: (...rest) => run('', ...rest),
    feed: run,
    commit(files) {
      for (const [path, content] of Object.entries(files)) writeFileSync(join(folder.path, path), content);
      run('', 'add', '--all');
      run('', 'commit', '--quiet', '--allow-empty', '-m', `change ${Object.keys(files).join(' ')}`);
      return run('', 'rev-parse', 'HEAD');
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}
