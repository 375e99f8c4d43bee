/**
 * How tests are run is the base's word: the patch as the proof applies it has the base's test configuration, so that a
 * patch does not say what proves it. What was kept out is named.
 */
import type { Patch, PatchFile } from '../job.ts';
import { isTestConfiguration, isTestFile, mayDecideTests } from './paths.ts';

/** A file of the base commit as text; null when there is none or it is too large. */
export type ReadBase = (path: string) => Promise<string | null>;

export interface JudgedPatch {
  readonly patch: Patch;
  /** What the patch changes of how tests are run, in words; hostile paths in them. Not empty: the proof proves less. */
  readonly touched: readonly string[];
}

/** Fields of package.json that runners read: https://jestjs.io/docs/configuration, https://mochajs.org/#configuring-mocha-nodejs and the like. */
const manifestFields = ['scripts', 'workspaces', 'jest', 'mocha', 'ava', 'vitest', 'tap', 'nyc', 'c8', 'standard'];

/** `command` is what runs the tests; a file that it names decides, too. */
export async function withBaseRules(patch: Patch, command: string, readBase: ReadBase): Promise<JudgedPatch> {
  const called = findCalled(`${command}\n${testScripts(await readBase('package.json'))}`);
  const touched: string[] = [];
  const files: PatchFile[] = [];
  for (const file of patch.files) {
    if (isTestConfiguration(file.path)) {
      touched.push(file.path);
      continue;
    }
    if (mayDecideTests(file.path) || (called.has(file.path) && !isTestFile(file.path))) touched.push(file.path);
    const kept = /(?:^|\/)(?:package|composer)\.json$/.test(file.path)
      ? await keepManifestFields(file, await readBase(file.path))
      : keepToml(file, await readToml(file, readBase));
    if (kept.fields.length > 0) touched.push(`${kept.fields.join(', ')} of ${file.path}`);
    files.push(kept.file);
  }
  return { patch: touched.length === 0 ? patch : { ...patch, files }, touched };
}

interface Kept {
  readonly file: PatchFile;
  readonly fields: readonly string[];
}

async function keepManifestFields(file: PatchFile, base: string | null): Promise<Kept> {
  const before = parseObject(base);
  if (before === null) return { file, fields: [] };
  const after = file.change.kind === 'write' ? parseObject(Buffer.from(file.change.content).toString('utf8')) : null;
  // npm may read what we cannot, and without one there are no scripts at all.
  if (after === null || file.change.kind !== 'write') return { file, fields: ['all'] };
  const fields = manifestFields.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  if (fields.length === 0) return { file, fields };
  const merged: Record<string, unknown> = { ...after };
  for (const name of fields) {
    if (before[name] === undefined) delete merged[name];
    else merged[name] = before[name];
  }
  return { file: { ...file, change: { ...file.change, content: Buffer.from(`${JSON.stringify(merged, null, 2)}\n`) } }, fields };
}

const isManifestToml = (path: string): boolean => /(?:^|\/)(?:pyproject|Cargo)\.toml$/.test(path);
const readToml = async ({ path }: PatchFile, readBase: ReadBase): Promise<string> => (isManifestToml(path) ? ((await readBase(path)) ?? '') : '');

/** TOML has many spellings: any line that may be about tests and differs is enough to name the file. */
function keepToml(file: PatchFile, base: string): Kept {
  if (!isManifestToml(file.path) || file.change.kind !== 'write') return { file, fields: [] };
  const telling = /pytest|tox|coverage|nox|addopts|testpaths|\b(?:test|doctest|harness|autotests|bench)\s*=/;
  const lines = (text: string): string =>
    text
      .split('\n')
      .filter((line) => telling.test(line.slice(0, 1000)))
      .join('\n');
  return { file, fields: lines(base) === lines(Buffer.from(file.change.content).toString('utf8')) ? [] : ['what is said about tests'] };
}

/** What `npm test` stands for, with the scripts around it. */
function testScripts(manifest: string | null): string {
  const scripts = parseObject(manifest)?.['scripts'] ?? {};
  const named = Object.entries(scripts).filter(([name]) => /^(?:pre|post)?test(?:[:._-]|$)/.test(name));
  return named.map(([, script]) => String(script)).join('\n');
}

/** Files that a command runs as programs. */
function findCalled(command: string): ReadonlySet<string> {
  const calls = command.matchAll(
    /(?:\b(?:node|sh|bash|python3?|tsx|ts-node|bun|ruby|perl|php)\s+(?:-\S+\s+){0,10}|(?:^|[\s;&|])\.\/)((?:\.\/)?[\w./@-]{1,500})/gm,
  );
  return new Set([...calls].map(([, path = '']) => path.replace(/^\.\//, '')));
}

function parseObject(text: string | null): Record<string, unknown> | null {
  try {
    const value = JSON.parse((text ?? 'null').replace(/^\uFEFF/, '')) as unknown;
    return typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}
