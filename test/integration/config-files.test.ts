import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readOwnFiles } from '../../src/config-files.ts';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mayfly-config-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function write(name: string, text: string, mode: number): Promise<string> {
  await writeFile(join(directory, name), text);
  await chmod(join(directory, name), mode); // whatever the umask is
  return join(directory, name);
}

test('files with credentials are read when nobody but their owner can', async () => {
  const own = await write('own.json', '[]', 0o600);

  expect(readOwnFiles({ MAYFLY_CREDENTIALS_FILE: own })).toEqual({ texts: { credentialsJson: '[]', imageAuthJson: null }, problems: [] });
});

test.each(['640', '604', '620'])('one of mode %s is refused, and nothing of it is read', async (mode) => {
  const open = await write(`open-${mode}.json`, '["secret"]', Number.parseInt(mode, 8));

  const { texts, problems } = readOwnFiles({ MAYFLY_CREDENTIALS_FILE: open, MAYFLY_IMAGE_AUTH_FILE: open });

  expect(texts).toEqual({ credentialsJson: null, imageAuthJson: null });
  expect(problems).toEqual([
    'MAYFLY_CREDENTIALS_FILE: others than its owner can read it; give it the mode 0600',
    'MAYFLY_IMAGE_AUTH_FILE: others than its owner can read it; give it the mode 0600',
  ]);
});

test('one that is missing, or too large, is said to be', async () => {
  const large = await write('large.json', 'x'.repeat(2 ** 20 + 1), 0o600);

  expect(readOwnFiles({ MAYFLY_CREDENTIALS_FILE: join(directory, 'none'), MAYFLY_IMAGE_AUTH_FILE: large }).problems).toEqual([
    'MAYFLY_CREDENTIALS_FILE: it cannot be read',
    'MAYFLY_IMAGE_AUTH_FILE: it is larger than 1048576 bytes',
  ]);
});
