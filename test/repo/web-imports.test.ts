/**
 * The process that faces the internet has no code path to a VM, a model or GitHub. The lint rules say so of the text;
 * this says so of what Node really loads, dynamic and indirect imports included.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { root } from '../support/repository.ts';

const allowed = new Set(['queue', 'webhook', '']);
const program = `
  import { registerHooks } from 'node:module';
  registerHooks({ load(url, context, next) { console.log(url); return next(url, context); } });
  await import(process.argv[1]);
`;

/** The folders of src that a process loads which imports this file; '' is src itself. */
async function loadedFolders(file: string): Promise<Set<string>> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, pathToFileURL(file).href], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  const source = pathToFileURL(join(root, 'src/')).href;
  const paths = output.split('\n').filter((url) => url.startsWith(source));
  return new Set(paths.map((url) => url.slice(source.length).split('/').slice(0, -1).join('/')));
}

test('importing web.ts loads webhook, queue and the shared words only', async () => {
  expect(await loadedFolders(join(root, 'src/web.ts'))).toEqual(allowed);
});

test('an import of the sandbox, however deep, would be noticed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-imports-'));
  await writeFile(join(folder, 'bad.ts'), `await import(${JSON.stringify(join(root, 'src/web.ts'))});\nawait import('./deep.ts');\n`);
  await writeFile(join(folder, 'deep.ts'), `await import(${JSON.stringify(join(root, 'src/sandbox/sandbox.ts'))});\n`);

  const folders = await loadedFolders(join(folder, 'bad.ts'));

  expect([...folders].filter((name) => !allowed.has(name))).toEqual(['sandbox']);
  await rm(folder, { recursive: true });
});
