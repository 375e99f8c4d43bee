/** Repository templates in real guests: when one is used, when not, and that what is kept depends on nothing but the base. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FixError } from '../../src/errors.ts';
import type { Plan } from '../../src/fix/plan.ts';
import { openWorkspace } from '../../src/fix/workspace.ts';
import type { GuestSurroundings, Workspace } from '../../src/fix/workspace.ts';
import { findProcesses } from '../../src/sandbox/claim.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, newVmId, openGuestHost, output, tracesOf } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';
import { createTemplateWorld, home } from '../support/template-world.ts';
import type { TemplateWorld } from '../support/template-world.ts';

/** Its setup draws a name that is kept with what git ignores: the same name is the same setup. */
const drawn = 'head -c 16 /dev/urandom | sha256sum > installed; sudo cp installed /opt/installed';
const install = 'npm ci --no-audit --no-fund';
const lockfile = JSON.stringify({ name: 'x', version: '1.0.0', lockfileVersion: 3, packages: { '': { name: 'x', version: '1.0.0' } } });
const files = { 'package.json': '{"name":"x","version":"1.0.0"}', 'package-lock.json': lockfile, '.gitignore': 'installed\nnode_modules\n', 'a.ts': '1\n' };

const nameOf = async ({ sandbox }: Workspace): Promise<string> => await output(sandbox, 'cd /workspace; cat installed; cmp installed /opt/installed');

for (const { name, create, lacking } of [
  { name: 'qemu', create: createQemuProvider, lacking: await lacksForGuests() },
  { name: 'oci', create: createOciProvider, lacking: await lacksForGvisor() },
]) {
  describe.skipIf(isSkipped(`repository templates on ${name}`, lacking))(`a repository template on ${name}`, () => {
    let host: GuestHost;
    beforeAll(async () => (host = await openGuestHost(create)));
    afterAll(async () => await host?.close());

    test('is made by the first run and spares the second its setup; what an agent does is in none', { timeout: 240_000 }, async () => {
      await using world = createTemplateWorld(host);
      world.repository.commit(files);
      const names: string[] = [];
      const plan = { setup: [drawn] };

      const first = await world.run(world.describe(plan), async (workspace) => {
        names.push(await nameOf(workspace));
        await output(workspace.sandbox, 'cd /workspace; echo canary > a.ts; echo canary > installed; git commit -qam canary; echo canary > ~/canary');
      });
      const second = await world.run(world.describe(plan), async (workspace) => {
        names.push(await nameOf(workspace));
        const { sandbox } = workspace;
        expect(await output(sandbox, 'cd /workspace; git status --short; cat a.ts; git log --format=%s; ls ~/canary 2> /dev/null || true')).toBe(
          '1\nchange package.json package-lock.json .gitignore a.ts',
        );
        expect(await sandbox.exec(['sudo', '-n', 'true'])).not.toMatchObject({ exitCode: 0 });
        await output(sandbox, 'cd /workspace; echo more > a.ts; rm installed; echo canary > ~/canary');
      });
      const third = await world.run(world.describe(plan), async (workspace) => void names.push(await nameOf(workspace)));

      expect(first.template).toBeNull();
      expect(names[0]).not.toBe(names[1]);
      expect(names[2]).toBe(names[1]);
      for (const { template, leftovers } of [second, third]) {
        expect(template).toMatchObject({ commit: world.repository.git('rev-parse', 'HEAD'), again: false });
        expect(leftovers).toEqual([]);
      }
      expect(world.commands.filter((line) => line.includes(drawn))).toHaveLength(1);
      expect(await readdir(join(host.options.stateDir, 'vms'))).toEqual([]);
    });
  });
}

describe.skipIf(isSkipped('when repository templates are used', await lacksForGvisor()))('a repository template', () => {
  let host: GuestHost;
  let world: TemplateWorld;
  beforeAll(async () => (host = await openGuestHost(createOciProvider)));
  afterAll(async () => await host?.close());
  beforeEach(() => {
    world = createTemplateWorld(host);
    world.repository.commit(files);
  });
  afterEach(async () => await world[Symbol.asyncDispose]());

  /** Which template the run began with, and the name that its setup had drawn. */
  async function run(plan: Partial<Plan> = { setup: [drawn] }) {
    let drawnName = '';
    const report = await world.run(world.describe(plan), async (workspace) => {
      if (plan.setup?.includes(drawn) === true) drawnName = await nameOf(workspace);
      expect(await output(workspace.sandbox, 'cd /workspace; git status --short; git rev-parse HEAD')).toBe(world.repository.git('rev-parse', 'HEAD'));
    });
    return { template: report.template, name: drawnName };
  }

  test('is not seen by another repository, installation or GitHub with the same files and lockfiles', async () => {
    await run();

    const options = world.describe({ setup: [drawn] });
    for (const other of [{ repository: 3 }, { installation: 2 }, { server: 'https://other.test' }]) {
      expect(await world.finds(options, { ...home, ...other })).toBe(false);
    }
    expect(await world.finds(options)).toBe(true);
  });

  test('is not used for other lockfiles, other commands, hosts or another environment', async () => {
    await run();

    for (const plan of [
      { setup: [drawn, 'true'] },
      { setup: [drawn], environment: { TZ: 'Europe/Berlin' } },
      { setup: [drawn], allow: { ...world.describe().plan.allow, setup: ['example.org'] } },
      { setup: [drawn], node: { install: '24.x', reason: null } },
    ]) {
      expect(await world.finds(world.describe(plan))).toBe(false);
    }
    expect(await world.finds(world.describe({ setup: [drawn] }))).toBe(true);
    world.repository.commit({ 'package-lock.json': `${lockfile}\n` });
    expect(await world.finds(world.describe({ setup: [drawn] }))).toBe(false);
  });

  test('is brought to a newer commit; commands that only install do not run again for sources', async () => {
    await run({ setup: [install] });
    const before = world.repository.git('rev-parse', 'HEAD');
    world.repository.commit({ 'a.ts': '2\n', 'b.ts': 'new\n' });
    const ran = world.commands.length;

    const { template } = await run({ setup: [install] });

    expect(template).toMatchObject({ commit: before, again: false });
    expect(world.commands.slice(ran).filter((line) => line.includes(install))).toEqual([]);
    expect(await world.layers.list(await placeOf())).toEqual([before]);
  });

  test('is brought to a newer commit; commands that may build run again on top, and it is made anew', async () => {
    const { name: first } = await run();
    const before = world.repository.git('rev-parse', 'HEAD');
    world.repository.git('rm', '-q', '.gitignore');
    world.repository.commit({ 'a.ts': '2\n', '.gitignore': files['.gitignore'] });

    const again = await run();
    const last = await run();

    expect(again.template).toMatchObject({ commit: before, again: true });
    expect(again.name).not.toBe(first);
    expect(last.template).toMatchObject({ commit: world.repository.git('rev-parse', 'HEAD'), again: false });
    expect(await readdir(world.layersDirectory)).toHaveLength(1);
  });

  test('whose commit is not in the history of the base is not used', async () => {
    await run();
    world.repository.git('commit', '-q', '--amend', '-m', 'forced');

    expect((await run()).template).toBeNull();
  });

  test('that was damaged is not used, and made anew', async () => {
    await run();
    const [folder = ''] = await readdir(world.layersDirectory);
    const disk = (await readdir(join(world.layersDirectory, folder))).find((entry) => entry.startsWith('disk-')) ?? '';
    await writeFile(join(world.layersDirectory, folder, disk), 'x', { flag: 'r+' });

    expect((await run()).template).toBeNull();
    expect((await run()).template).not.toBeNull();
  });

  test('that does not work is removed, and the run goes on without', async () => {
    const plan = { setup: ['mv .git/objects gone; mkdir .git/objects; true'] };
    await world.run(world.describe(plan));
    expect(await readdir(world.layersDirectory)).toHaveLength(1);
    world.repository.commit({ 'a.ts': '2\n' });

    const options = world.describe(plan);
    const { workspace } = await world.templates.open(options, home);
    await workspace[Symbol.asyncDispose]();

    expect(options.report).toMatchObject({ template: null, notes: [], leftovers: [] });
    expect(await readdir(world.layersDirectory)).toEqual([]);
  });

  test.each([
    ['no limits can be set', new FixError('sandbox_unlimited')],
    ['the host is so busy that its VM is late', new FixError('sandbox_boot', { details: { late: true } })],
  ])('stays when a run cannot begin with it because %s', async (_why, error) => {
    await run();
    const options = world.describe({ setup: [drawn] });
    const boot: typeof options.provider.boot = (spec) => (spec.layer === undefined ? options.provider.boot(spec) : Promise.reject(error));

    const { workspace } = await world.templates.open({ ...options, provider: { ...options.provider, boot } }, home);
    await workspace[Symbol.asyncDispose]();

    expect(options.report.template).toBeNull();
    expect(await readdir(world.layersDirectory)).toHaveLength(1);
  });

  test('is never what a proof begins with', async () => {
    const { name } = await run();
    const { name: kept } = await run();

    const proof = await openWorkspace(world.describe({ setup: [drawn] }));
    const proofs = await nameOf(proof);
    await proof[Symbol.asyncDispose]();

    expect([name, kept]).not.toContain(proofs);
  });

  test('holds none of the certificates that its guest was told to trust', async () => {
    const path = '/usr/local/share/ca-certificates/mayfly-host.crt';
    const bundle = '/etc/ssl/certs/ca-certificates.crt';
    const java = '/etc/ssl/certs/java';
    const caPem = ['# MAYFLY', '-----BEGIN CERTIFICATE-----', 'MAYFLY', '-----END CERTIFICATE-----', ''].join('\n');
    const install = { path, argv: ['sh', '-c', `cp "$2" /root/before; cat "$1" >> "$2"; mkdir ${java}; cp "$1" ${java}/cacerts`, 'sh', path, bundle] };
    const [name = ''] = await keepWith({ caPem, guestEnv: {}, registryHosts: [], install });

    const layer = await world.layers.take({ place: name.slice(0, 24), commit: name.slice(25) }, AbortSignal.timeout(20_000));
    await using sandbox = await host.provider().boot({ id: newVmId(), signal: AbortSignal.timeout(60_000), layer: layer?.file ?? '' });

    expect(await output(sandbox, `cmp ${bundle} /root/before && grep -c BEGIN ${bundle}; ls ${path} 2> /dev/null || echo gone`, 'root')).toMatch(
      /^\d{3}\ngone$/,
    );
    // A store of Java's own kind, of what is left.
    expect(await output(sandbox, `head -c 4 ${java}/cacerts | od -An -tx1; grep -c MAYFLY ${java}/cacerts || true`, 'root')).toBe('fe ed fe ed\n0');
  });

  async function keepWith(surroundings: GuestSurroundings): Promise<readonly string[]> {
    await world.run({ ...world.describe({ setup: [drawn] }), surroundings });
    return await readdir(world.layersDirectory);
  }

  test('is not made of a setup that fails', async () => {
    await expect(world.run(world.describe({ setup: ['false'] }))).rejects.toMatchObject({ code: 'setup_failed' });

    await world.templates.idle();
    expect(await readdir(world.layersDirectory).catch(() => [])).toEqual([]);
  });

  test('that is being made when the worker ends leaves nothing', async () => {
    const options = world.describe({ setup: ['sleep 1'] });
    const { workspace, refresh } = await world.templates.open(options, home);
    await workspace[Symbol.asyncDispose]();
    refresh?.();
    const vms = async () => await readdir(join(host.options.stateDir, 'vms'));
    await expect.poll(vms, { timeout: 60_000, interval: 20 }).toEqual([expect.stringMatching(/-layer$/)]);
    const [vm = ''] = await vms();
    await expect.poll(async () => await findProcesses(vm), { timeout: 60_000, interval: 20 }).not.toEqual([]);

    await world.templates.close();

    expect(await readdir(world.layersDirectory)).toEqual([]);
    expect(await tracesOf(vm, host.options)).toEqual([]);
    expect(await vms()).toEqual([]);
    refresh?.();
    await world.templates.idle();
    expect(await readdir(world.layersDirectory).catch(() => [])).toEqual([]);
  });

  async function placeOf(): Promise<string> {
    const [folder = ''] = await readdir(world.layersDirectory);
    return folder.slice(0, 24);
  }
});
