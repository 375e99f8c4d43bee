/** `mayfly settings`: whether a settings file is right, and what holds in a repository, by whose word. */
import { open, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { CommandContext } from './command-line.ts';
import { FixError, errorTable } from './errors.ts';
import { readBaseSettings } from './fix/base-settings.ts';
import { visible } from './fix/neutral.ts';
import type { NamedRepository } from './github/github.ts';
import { createOperator } from './operator.ts';
import { createMirrorsFrom } from './run-tools.ts';
import { formatProblem } from './settings/problem.ts';
import type { Problem } from './settings/problem.ts';
import { readSettings } from './settings/read.ts';
import type { FoundFile } from './settings/read.ts';
import { showValue } from './settings/resolve.ts';
import type { Effective, Resolved } from './settings/resolve.ts';
import { settingsPath } from './settings/schema.ts';
import { keys, whatNullMeans } from './settings/values.ts';
import type { Key } from './settings/values.ts';
import { readGitHubSettings, readName } from './show-github-settings.ts';

const brokenExitCode = errorTable.config_invalid.exitCode;
const longestValue = 60;

/** Returns the exit code: 0, or 2 when something is wrong with the file. */
export async function validateSettings(file: string, { json }: { json: boolean }, { config }: CommandContext): Promise<number> {
  const resolved = await readSettings({ repository: (_path, maxBytes) => readFound(file, maxBytes), organization: null }, createOperator(config));
  const problems = 'problems' in resolved ? resolved.problems.map((problem) => ({ ...problem, file })) : [];
  const notes = 'problems' in resolved ? [] : noteHosts(resolved.effective);
  if (json) console.log(JSON.stringify({ file, valid: problems.length === 0, problems, notes }));
  else if (problems.length === 0) for (const line of [`${file}: every key is understood`, ...notes]) console.log(visible(line));
  else printProblems(problems);
  return problems.length === 0 ? 0 : brokenExitCode;
}

/** Hosts that the file opens and this operator does not. */
function noteHosts({ origins, beyond }: Effective): readonly string[] {
  const phases = ['allow.setup', 'allow.agent', 'allow.proof'] as const;
  return phases.flatMap((key) => (beyond[key] === undefined ? [] : [`${key} is not open in full here: ${origins[key]}`]));
}

export interface ShowOptions {
  readonly repo: string;
  readonly base?: string;
  readonly organization?: string;
  readonly json?: boolean;
}

/** Returns the exit code, as `validateSettings` does. A folder goes before a repository on GitHub of the same name. Throws `usage`, `repository_unreachable` and the like. */
export async function showSettings(options: ShowOptions, context: CommandContext): Promise<number> {
  const named = readName(options.repo);
  const onGitHub = named !== null && !(await isFolder(options.repo));
  const resolved = onGitHub ? await showOnGitHub(named, options, context) : await readCommitted(options, context);
  if ('problems' in resolved) {
    if (options.json) console.log(JSON.stringify({ problems: resolved.problems }));
    else printProblems(resolved.problems);
    return brokenExitCode;
  }
  if (options.json) console.log(JSON.stringify(asJson(resolved.effective)));
  else printTable(resolved.effective);
  return 0;
}

async function showOnGitHub(named: NamedRepository, { base, organization }: ShowOptions, context: CommandContext): Promise<Resolved> {
  if (organization !== undefined) {
    throw new FixError('usage', { details: { reason: '--organization goes with a folder or a URL; for owner/name, GitHub is asked for that repository too' } });
  }
  return await readGitHubSettings({ ...named, ...(base !== undefined && { ref: base }) }, context);
}

async function readCommitted(options: ShowOptions, { config, log, signal }: CommandContext): Promise<Resolved> {
  const mirrors = createMirrorsFrom(config, log);
  const fetch = (url: string, ref: string | null) => mirrors.fetch({ url: locate(url), token: null, ref }, signal);
  const snapshot = await fetch(options.repo, options.base ?? null);
  const { organization: shared } = options;
  const organization = shared === undefined ? null : { name: nameOf(shared), snapshot: await fetch(shared, null) };
  return await readBaseSettings({ snapshot, organization }, createOperator(config), signal);
}

const isFolder = async (path: string): Promise<boolean> => (await stat(path).catch(() => null))?.isDirectory() ?? false;

/** At most one byte more than is taken is ever read. */
async function readFound(file: string, maxBytes: number): Promise<FoundFile> {
  try {
    await using handle = await open(file, 'r');
    const found = await handle.stat();
    if (!found.isFile()) return { unreadable: 'not_a_file' };
    if (found.size > maxBytes) return { unreadable: 'too_large' };
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
    return bytesRead > maxBytes ? { unreadable: 'too_large' } : { text: buffer.toString('utf8', 0, bytesRead) };
  } catch (cause) {
    throw new FixError('usage', { cause, details: { reason: `${file} cannot be read; the settings of a repository are in ${settingsPath}` } });
  }
}

const locate = (repository: string): string => (/^https?:\/\//.test(repository) ? repository : resolve(repository));

/** `acme/.github` of an address, the last folder of a path. */
function nameOf(repository: string): string {
  if (!/^https?:\/\//.test(repository)) return basename(resolve(repository));
  return new URL(repository).pathname.replace(/^\/|\.git$|\/$/g, '');
}

function printProblems(problems: readonly Problem[]): void {
  for (const problem of problems) console.log(visible(formatProblem(problem)));
}

function printTable({ values, origins }: Effective): void {
  const rows = keys.map((key) => [key, shownValue(key, values[key]), visible(origins[key]).replace(/\s+/g, ' ')] as const);
  const all = [['key', 'value', 'whose word'] as const, ...rows];
  const [first, second] = [0, 1].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  for (const [key, value, origin] of all) console.log(`${key.padEnd(first ?? 0)}  ${value.padEnd(second ?? 0)}  ${origin}`.trimEnd());
}

/** On one line, whatever a repository wrote. */
function shownValue(key: Key, value: unknown): string {
  const text = value === null ? `(${whatNullMeans[key] ?? 'none'})` : visible(showValue(value)).replace(/\s+/g, ' ');
  return text.length > longestValue ? `${text.slice(0, longestValue - 3)}...` : text;
}

const asJson = ({ values, origins }: Effective): Record<string, unknown> =>
  Object.fromEntries(keys.map((key) => [key, { value: values[key], origin: origins[key] }]));
