/**
 * The mutation proof of the layering: every deliberate violation must be reported, and the clean tree must pass.
 * A layering check that silently stops checking is worse than none.
 */
import { cp, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readText, root } from '../support/repository.ts';

const layering = [
  'no-restricted-imports',
  'no-cycle',
  'no-process-env',
  'no-dynamic-require',
  'consistent-type-imports',
  'no-require-imports',
  'no-restricted-properties',
];

const Report = z.object({ diagnostics: z.array(z.object({ code: z.string().default(''), filename: z.string() })) });

/** Each is one file with one violation; what the rule should be called, and where it is written. */
const violations: readonly (readonly [what: string, folder: string, source: string, rule: string])[] = [
  ['sideways', 'agent', "import { x } from '../github/github.ts';", 'no-restricted-imports'],
  ['upward to a use case', 'sandbox', "import { x } from '../fix/run.ts';", 'no-restricted-imports'],
  ['sideways to GitHub', 'registration', "import { convertManifest } from '../github/app-manifest.ts';", 'no-restricted-imports'],
  ['upward to a composition', 'agent', "import { x } from '../worker.ts';", 'no-restricted-imports'],
  ['upward to main', 'github', "import '../main.ts';", 'no-restricted-imports'],
  ['past the port', 'agent', "import { x } from '../sandbox/qemu.ts';", 'no-restricted-imports'],
  ['webhook to fix', 'webhook', "import { x } from '../fix/run.ts';", 'no-restricted-imports'],
  ['the work to who asked for it', 'fix', "import { x } from '../bot/intake.ts';", 'no-restricted-imports'],
  ['the bot to a VM', 'bot', "import { x } from '../sandbox/sandbox.ts';", 'no-restricted-imports'],
  ['the bot to the queue', 'bot', "import { x } from '../queue/queue.ts';", 'no-restricted-imports'],
  ['webhook to queue', 'webhook', "import { x } from '../queue/queue.ts';", 'no-restricted-imports'],
  ['web to a VM', '.', "import { x } from './sandbox/sandbox.ts';", 'no-restricted-imports'],
  ['config by a leaf', 'model', "import { x } from '../config.ts';", 'no-restricted-imports'],
  ['type of config by a leaf', 'model', "import type { Config } from '../config.ts';", 'no-restricted-imports'],
  ['the log by value', 'fix', "import { createLog } from '../log.ts';", 'no-restricted-imports'],
  ['type-only', 'agent', "import type { GitHub } from '../github/github.ts';", 'no-restricted-imports'],
  ['re-export', 'agent', "export { x } from '../github/github.ts';", 'no-restricted-imports'],
  ['star re-export', 'agent', "export * from '../github/github.ts';", 'no-restricted-imports'],
  ['dynamic import', 'agent', "export const x = await import('../github/github.ts');", 'no-restricted-imports'],
  ['computed import', 'agent', "export const x = (name: string) => import('../' + name);", 'no-dynamic-require'],
  ['import in a type', 'agent', "export type X = import('../github/github.ts').GitHub;", 'consistent-type-imports'],
  ['require', 'agent', "import x = require('../github/github.ts');", 'no-restricted-imports'],
  ['spelled with ./..', 'agent', "import { x } from './../github/github.ts';", 'no-restricted-imports'],
  ['spelled through a sibling', 'agent', "import { x } from '../sandbox/../github/github.ts';", 'no-restricted-imports'],
  ['spelled through src', 'agent', "import { x } from '../../src/github/github.ts';", 'no-restricted-imports'],
  ['spelled with two slashes', 'agent', "import { x } from '..//github/github.ts';", 'no-restricted-imports'],
  ['spelled as a URL', 'agent', "import { x } from 'file:///src/github/github.ts';", 'no-restricted-imports'],
  ['a second level of folders', 'sandbox', "import { x } from './deep/x.ts';", 'no-restricted-imports'],
  ['from the tests', 'fix', "import { x } from '../../test/support/x.ts';", 'no-restricted-imports'],
  ['doctor to the work', 'doctor', "import { x } from '../fix/run.ts';", 'no-restricted-imports'],
  ['proof to the agent', 'proof', "import { x } from '../agent/loop.ts';", 'no-restricted-imports'],
  ['work to the doctor', 'fix', "import { x } from '../doctor/check.ts';", 'no-restricted-imports'],
  ['queue library in the doctor', 'doctor', "import { Redis } from 'ioredis';", 'no-restricted-imports'],
  ['queue library elsewhere', 'fix', "import { Queue } from 'bullmq';", 'no-restricted-imports'],
  ['GitHub library elsewhere', 'fix', "import { Octokit } from '@octokit/rest';", 'no-restricted-imports'],
  ['GitHub library in the registration', 'registration', "import { Octokit } from '@octokit/rest';", 'no-restricted-imports'],
  ['model library elsewhere', 'agent', "import { generateText } from 'ai';", 'no-restricted-imports'],
  ['model vendor elsewhere', 'fix', "import { openai } from '@ai-sdk/openai';", 'no-restricted-imports'],
  ['SSH elsewhere', 'gateway', "import { Client } from 'ssh2';", 'no-restricted-imports'],
  ['Probot elsewhere', 'queue', "import { Probot } from 'probot';", 'no-restricted-imports'],
  ['child processes elsewhere', 'agent', "import { spawn } from 'node:child_process';", 'no-restricted-imports'],
  ['child processes, old spelling', 'agent', "import { spawn } from 'child_process';", 'no-restricted-imports'],
  ['execa elsewhere', 'agent', "import { execa } from 'execa';", 'no-restricted-imports'],
  ['a logger of its own', 'queue', "import { pino } from 'pino';", 'no-restricted-imports'],
  ['a package that no row lists', 'fix', "import x from 'lodash';", 'no-restricted-imports'],
  ['modules behind the linter', 'agent', "export const x = process.getBuiltinModule('child_process');", 'no-restricted-properties'],
  ['process.env', 'fix', "export const x = process.env['HOME'];", 'no-process-env'],
  ['process.env through an import', 'fix', "import { env } from 'node:process';", 'no-restricted-imports'],
  ['a cycle', 'model', "import { y } from './cycle-partner.ts';\nexport const x = (): unknown => y;", 'no-cycle'],
];

interface Planted {
  readonly file: string;
  readonly source: string;
}

// `web.ts`, `job.ts` and `errors.ts` have rows of their own, so their violations go into copies of those very files.
const planted: readonly Planted[] = [
  ...violations.map(([, folder, source], index) => ({ file: folder === '.' ? 'src/web.ts' : `src/${folder}/violation-${index}.ts`, source })),
  { file: 'src/errors.ts', source: "import { newRunId } from './job.ts';" },
  { file: 'src/job.ts', source: "import { FixError } from './errors.ts';" },
  { file: 'src/model/cycle-partner.ts', source: `import { x } from './violation-${violations.length - 1}.ts';\nexport const y = (): unknown => x;` },
];

async function lint(directory: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const result = await execa(join(root, 'node_modules/.bin/oxlint'), ['--format', 'json', 'src'], { cwd: directory, reject: false });
  const found = new Map<string, string[]>();
  for (const { code, filename } of Report.parse(JSON.parse(result.stdout)).diagnostics) {
    const rule = layering.find((name) => code.endsWith(`(${name})`));
    if (rule) found.set(filename, [...(found.get(filename) ?? []), rule]);
  }
  return found;
}

describe('the layering rules', () => {
  let directory = '';
  let clean: ReadonlyMap<string, readonly string[]> = new Map();
  let dirty: ReadonlyMap<string, readonly string[]> = new Map();

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mayfly-layering-'));
    for (const name of ['src', '.oxlintrc.json', 'tsconfig.json', 'package.json']) await cp(join(root, name), join(directory, name), { recursive: true });
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
    // None of these rules asks for types, and checking those of all of src twice is most of what the linter would do here.
    const typeless = (await readText('.oxlintrc.json')).replace('"typeAware": true', '"typeAware": false');
    await writeFile(join(directory, '.oxlintrc.json'), typeless);
    clean = await lint(directory);
    for (const { file, source } of planted) await writeFile(join(directory, file), `${source}\n`);
    dirty = await lint(directory);
  }, 60_000);

  afterAll(() => rm(directory, { recursive: true, force: true }));

  test('pass the tree as it is', () => {
    expect([...clean]).toEqual([]);
  });

  test.each(violations.map(([what, , source, rule], index) => ({ what, source, rule, index })))('report $what: $source', ({ rule, index }) => {
    expect(dirty.get(planted[index]?.file ?? '')).toContain(rule);
  });

  test.each(['src/errors.ts', 'src/job.ts'])('report a violation in %s', (file) => {
    expect(dirty.get(file)).toContain('no-restricted-imports');
  });

  test('have one row for every folder of src and every file on its top level', async () => {
    const Config = z.object({ overrides: z.array(z.object({ files: z.array(z.string()), rules: z.record(z.string(), z.unknown()) })) });
    const rows = Config.parse(JSON.parse(await readText('.oxlintrc.json'))).overrides.filter((row) => 'no-restricted-imports' in row.rules);
    const covered = rows.flatMap((row) => row.files);
    const entries = await readdir(join(root, 'src'), { withFileTypes: true });
    const needed = entries.map((entry) => (entry.isDirectory() ? `src/${entry.name}/**` : `src/${entry.name}`));

    expect(needed.filter((pattern) => covered.filter((file) => file === pattern).length !== 1)).toEqual([]);
  });
});
