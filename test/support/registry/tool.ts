/** A folder of this host that stands for a guest: a tool that runs in it has the guest's environment and nothing else. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { onTestFinished } from 'vitest';
import { guestJavaStore } from '../../../src/gateway/java-store.ts';
import { guestBundle, guestCaFile, readSurroundings, trustFile } from '../../../src/gateway/surroundings.ts';
import type { Surroundings } from '../../../src/gateway/surroundings.ts';
import { createTrust } from '../../../src/gateway/trust.ts';
import { settingsPath } from '../../../src/settings/schema.ts';
import { world } from '../gateway/world.ts';
import type { World } from '../gateway/world.ts';
import { registryName } from './registry.ts';
import type { Registry } from './registry.ts';

export interface Guest {
  readonly folder: string;
  readonly registry: Registry;
  readonly world: World;
  write(files: Readonly<Record<string, string>>): void;
  run(argv: readonly string[], env?: Readonly<Record<string, string>>): Promise<{ exitCode: number | undefined; output: string }>;
}

export interface GuestOptions {
  readonly registry: Registry;
  /** Hosts that may be reached. */
  readonly allow: readonly string[];
  /** The agent's phase, in which it can only be read, and hears no header of the client. */
  readonly isAfterSetup?: boolean;
}

/** The allowlist entry that lets a registry through. */
export const entryOf = ({ url }: Registry): string => new URL(url).host;

export async function openGuest({ registry, allow, isAfterSetup = false }: GuestOptions): Promise<Guest> {
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-tools-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const npmRegistry = `${registry.url.replace('://', '://me:t0ken@')}/npm/`;
  const extraCaFiles = registry.caFile === null ? [] : [registry.caFile];
  const surroundings = await readSurroundings({ extraCaFiles, npmRegistry, caFolders: [] });
  const trust = createTrust(surroundings.caPem);
  const registries = isAfterSetup ? [{ kind: 'npm', host: entryOf(registry), basePath: '/' } as const] : [];
  const gate = await world(allow, { phase: isAfterSetup ? 'agent' : 'setup', registries, trust, settingsKey: `allow: in ${settingsPath}` });
  const trusted = trustFile([surroundings.caPem, await gate.gateway.authority()]);
  const env = makeEnvironment(folder, { surroundings, trusted }, gate);
  const write: Guest['write'] = (files) => {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
  };
  return {
    folder,
    registry,
    world: gate,
    write,
    async run([file = '', ...argv], more = {}) {
      const options = { cwd: folder, env: { ...env, ...more }, extendEnv: false, all: true, reject: false, stdin: 'ignore', timeout: 120_000 } as const;
      const { exitCode, all } = await execa(file, argv, options);
      return { exitCode, output: all };
    },
  };
}

/** The guest's environment, with this machine's paths and port in the place of the guest's. */
function makeEnvironment(folder: string, { surroundings, trusted }: { surroundings: Surroundings; trusted: string }, gate: World): Record<string, string> {
  const places: Readonly<Record<string, string>> = { [guestCaFile]: 'extra.crt', [guestBundle]: 'bundle.crt', [guestJavaStore]: 'cacerts' };
  const here = (value: string): string => {
    const place = places[value];
    return place === undefined ? value.replaceAll('http://127.0.0.1:3128', gate.proxyUrl).replaceAll('Port=3128', `Port=${gate.port}`) : join(folder, place);
  };
  const env = Object.fromEntries(Object.entries(surroundings.guestEnv).map(([name, value]) => [name, here(value)]));
  writeFileSync(join(folder, 'extra.crt'), trusted);
  writeFileSync(join(folder, 'bundle.crt'), '');
  // As if a Java were installed, which then is told where "its" store is.
  writeFileSync(join(folder, 'cacerts'), '');
  const argv = surroundings.install.argv.map(here);
  execFileSync(argv[0] ?? '', argv.slice(1));
  env['JAVA_TOOL_OPTIONS'] += ` -Djavax.net.ssl.trustStore=${join(folder, 'cacerts')}`;
  // Of this machine: where its programs are, and toolchains that live in somebody's home.
  return {
    ...env,
    HOME: folder,
    PATH: process.env['PATH'] ?? '',
    RUSTUP_HOME: process.env['RUSTUP_HOME'] ?? join(homedir(), '.rustup'),
    PIP_CONFIG_FILE: '/dev/null',
  };
}

/** Ledger lines that matter here, without their times and sizes. */
export function attempts({ world: gate }: Guest): readonly string[] {
  return [...new Set(gate.gateway.ledger.filter(({ host }) => host === registryName).map(({ method, decision }) => `${method} ${decision}`))];
}
