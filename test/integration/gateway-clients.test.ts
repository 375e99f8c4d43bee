/** What people's tools really do with the environment that a guest gets: curl, npm and Node against a corporate registry. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readSurroundings } from '../../src/gateway/surroundings.ts';
import { createCertificateAuthority } from '../support/gateway/certificate-authority.ts';
import { listen, serveWeb, world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';

const name = 'npm.test.example';

interface Guest {
  readonly folder: string;
  readonly registryUrl: string;
  readonly seen: IncomingMessage[];
  readonly world: World;
  run(file: string, argv: readonly string[]): Promise<{ exitCode: number | undefined; output: string }>;
}

/** A registry with one package and a certificate of its own authority, and a folder that stands for the guest. */
async function openGuest(allow: (host: string) => readonly string[]): Promise<Guest> {
  const authority = createCertificateAuthority();
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-clients-'));
  onTestFinished(() => authority[Symbol.dispose]());
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { registryUrl, seen } = await serveRegistry(authority.issue(name), folder);
  const surroundings = await readSurroundings({
    extraCaFiles: [authority.caFile],
    npmRegistry: `${registryUrl.slice(0, 8)}me:t0ken@${registryUrl.slice(8)}`,
    upstreamProxy: null,
    caFolders: [],
  });
  const gate = await world(allow(surroundings.registryHosts[0] ?? ''), { phase: 'setup' });
  return { folder, registryUrl, seen, world: gate, run: runner(folder, guestEnvironment(folder, surroundings, gate)) };
}

async function serveRegistry(certificate: { key: string; cert: string }, folder: string): Promise<{ registryUrl: string; seen: IncomingMessage[] }> {
  const seen: IncomingMessage[] = [];
  mkdirSync(join(folder, 'package'));
  writeFileSync(join(folder, 'package', 'package.json'), '{"name":"tiny","version":"1.0.0"}');
  execFileSync('tar', ['-czf', 'tiny.tgz', 'package'], { cwd: folder });
  const tarball = readFileSync(join(folder, 'tiny.tgz'));
  const server = createServer(certificate, (request, response) => {
    seen.push(request);
    if (request.url?.endsWith('.tgz')) return response.end(tarball);
    const versions = { '1.0.0': { name: 'tiny', version: '1.0.0', dist: { tarball: `${registryUrl}tiny/-/tiny-1.0.0.tgz` } } };
    return response.setHeader('content-type', 'application/json').end(JSON.stringify({ name: 'tiny', 'dist-tags': { latest: '1.0.0' }, versions }));
  });
  const registryUrl = `https://${name}:${await listen(server)}/`;
  return { registryUrl, seen };
}

/** The guest's environment, with this machine's paths and port in the place of the guest's. */
function guestEnvironment(folder: string, surroundings: Awaited<ReturnType<typeof readSurroundings>>, gate: World): Record<string, string> {
  const file = join(folder, 'extra.crt');
  const bundle = join(folder, 'bundle.crt');
  writeFileSync(file, surroundings.caPem);
  writeFileSync(bundle, '');
  const here = (value: string): string =>
    value
      .replaceAll('http://127.0.0.1:3128', gate.proxyUrl)
      .replace(surroundings.install.path, file)
      .replace(/^\/etc\/ssl\/certs\/ca-certificates\.crt$/, bundle);
  const argv = surroundings.install.argv.map(here);
  execFileSync(argv[0] ?? '', argv.slice(1));
  return {
    ...Object.fromEntries(Object.entries(surroundings.guestEnv).map(([key, value]) => [key, here(value)])),
    HOME: folder,
    PATH: process.env['PATH'] ?? '',
  };
}

function runner(cwd: string, env: Record<string, string>): Guest['run'] {
  return async (file, argv) => {
    const { exitCode, all } = await execa(file, argv, { cwd, env, extendEnv: false, all: true, reject: false, timeout: 25_000 });
    return { exitCode, output: all };
  };
}

describe('a tool with the environment of the guest', () => {
  it('curl reaches a corporate registry with its own authority', async () => {
    const guest = await openGuest((host) => [host]);

    const { exitCode, output } = await guest.run('curl', ['-sS', `${guest.registryUrl}tiny`]);

    expect(output).toContain('"latest":"1.0.0"');
    expect(exitCode).toBe(0);
  });

  it('curl is told why a host is refused', async () => {
    const guest = await openGuest((host) => [host]);

    expect((await guest.run('curl', ['-sS', 'http://example.org/'])).output).toContain('mayfly: example.org is not on the list of this phase (setup).');
    expect((await guest.run('curl', ['-sSv', 'https://example.org/'])).output).toContain('403 mayfly: example.org is not on the list');
  });

  it('curl reaches the guest’s own servers without the gateway', async () => {
    const guest = await openGuest(() => []);
    const web = await serveWeb();

    expect((await guest.run('curl', ['-sS', `http://127.0.0.1:${web.host.split(':')[1]}/`])).output).toBe('hello');
    expect(guest.world.gateway.ledger).toEqual([]);
  });

  it('npm views and installs a package, and sends no credentials', async () => {
    const guest = await openGuest((host) => [host]);
    writeFileSync(join(guest.folder, 'package.json'), '{"name":"app","version":"1.0.0","dependencies":{"tiny":"1.0.0"}}');

    const viewed = await guest.run('npm', ['view', 'tiny', 'version', '--no-update-notifier']);
    const installed = await guest.run('npm', ['install', '--no-audit', '--no-fund', '--no-update-notifier']);

    expect(viewed.output).toMatch(/^1\.0\.0$/m);
    expect(installed).toMatchObject({ exitCode: 0 });
    expect(readFileSync(join(guest.folder, 'node_modules', 'tiny', 'package.json'), 'utf8')).toContain('"tiny"');
    expect(guest.seen.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
    expect(new Set(guest.world.gateway.ledger.map(({ method, host, decision }) => `${method} ${host} ${decision}`))).toEqual(
      new Set([`CONNECT ${name} allowed`]),
    );
  });

  it('npm fails at once when the registry is not allowed', async () => {
    const guest = await openGuest(() => []);

    const { exitCode, output } = await guest.run('npm', ['view', 'tiny', '--no-update-notifier']);

    expect(exitCode).not.toBe(0);
    expect(output).toContain('403');
    expect(guest.seen).toEqual([]);
  });

  it('Node’s fetch and https go through the gateway', async () => {
    const guest = await openGuest((host) => [host]);
    const script = `
      const { get } = await import('node:https');
      const viaFetch = await (await fetch(process.argv[1])).json();
      const viaHttps = await new Promise((resolve, reject) => get(process.argv[1], (answer) => resolve(answer.resume().statusCode)).on('error', reject));
      const plain = await fetch('http://example.org/');
      console.log(viaFetch.name, viaHttps, plain.status, await plain.text());`;

    const { output } = await guest.run(process.execPath, ['--input-type=module', '-e', script, `${guest.registryUrl}tiny`]);

    expect(output).toContain('tiny 200 403 mayfly: example.org is not on the list');
    expect(guest.world.gateway.ledger.map(({ method, decision }) => `${method} ${decision}`)).toEqual(['CONNECT allowed', 'CONNECT allowed', 'GET refused']);
  });
});
