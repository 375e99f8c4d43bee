/** What this host is and has. Only looks; changes nothing. */
import { constants } from 'node:fs';
import { access, readFile, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import { requirements } from './requirements.ts';
import type { Requirement } from './requirements.ts';
import { readSources } from './sources.ts';
import type { DebianSource } from './sources.ts';

export interface HostFacts {
  /** Of /etc/os-release: `debian`, `ubuntu`, `fedora`, ... */
  readonly system: string;
  readonly systemName: string;
  /** `bookworm`; empty where the system has none. */
  readonly codename: string;
  readonly architecture: string;
  /** How commands can be run as root; null when they cannot. */
  readonly privilege: 'root' | 'sudo' | null;
  readonly hasApt: boolean;
  readonly hasSystemd: boolean;
  /** By program: its version, an empty string when it was not asked, null when it is not there. */
  readonly programs: Readonly<Record<string, string | null>>;
  readonly debianSource: DebianSource | null;
  readonly hasBackports: boolean;
}

export interface FactsOptions {
  /** PATH of this process. */
  readonly searchPath: string;
  readonly signal: AbortSignal;
}

// mke2fs and its like live there, and the PATH of a plain user has none of them.
const systemFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

async function findProgram(program: string, searchPath: string): Promise<string | null> {
  for (const folder of [...searchPath.split(delimiter), ...systemFolders]) {
    const path = join(folder, program);
    const isExecutable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (folder !== '' && isExecutable) return path;
  }
  return null;
}

async function readVersion(need: Requirement, options: FactsOptions): Promise<string | null> {
  const path = await findProgram(need.program, options.searchPath);
  if (path === null || need.versionArgument === null) return path === null ? null : '';
  const result = await execa(path, [need.versionArgument], { all: true, reject: false, timeout: 10_000, cancelSignal: options.signal });
  // A program that cannot even tell its version (a missing library, a foreign binary) counts as missing.
  return need.versionPattern.exec(result.all)?.[0] ?? null;
}

async function readPrivilege(options: FactsOptions): Promise<HostFacts['privilege']> {
  if (process.getuid?.() === 0) return 'root';
  const sudo = await findProgram('sudo', options.searchPath);
  if (sudo === null) return null;
  const result = await execa(sudo, ['-n', 'true'], { reject: false, timeout: 10_000, cancelSignal: options.signal });
  return result.exitCode === 0 ? 'sudo' : null;
}

async function readAptSources(): Promise<string[]> {
  const folder = '/etc/apt/sources.list.d';
  const names = await readdir(folder).catch(() => []);
  const paths = ['/etc/apt/sources.list', ...names.filter((name) => /\.(?:list|sources)$/.test(name)).map((name) => join(folder, name))];
  return Promise.all(paths.map((path) => readFile(path, 'utf8').catch(() => '')));
}

async function readSystem(): Promise<{ system: string; systemName: string; codename: string }> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const field = (name: string) => new RegExp(`^${name}=["']?([^"'\\n]*)`, 'm').exec(text)?.[1] ?? '';
  return { system: field('ID') || process.platform, systemName: field('PRETTY_NAME') || process.platform, codename: field('VERSION_CODENAME') };
}

/** Looks at everything at once: a second run of setup is only this. */
export async function readFacts(options: FactsOptions): Promise<HostFacts> {
  const [system, privilege, apt, hasSystemd, texts, versions] = await Promise.all([
    readSystem(),
    readPrivilege(options),
    findProgram('apt-get', options.searchPath),
    exists('/run/systemd/system'),
    readAptSources(),
    Promise.all(requirements.map((need) => readVersion(need, options))),
  ]);
  const sources = readSources(texts, system.codename);
  return {
    ...system,
    architecture: process.arch,
    privilege,
    hasApt: apt !== null,
    hasSystemd,
    programs: Object.fromEntries(requirements.map((need, index) => [need.program, versions[index] ?? null])),
    debianSource: sources.main,
    hasBackports: sources.hasBackports,
  };
}
