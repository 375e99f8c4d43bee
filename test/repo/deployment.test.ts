/** compose.yaml, the units and the install page are held to the code: names, paths, times, and who gets which secret. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { describeSettings, loadConfig } from '../../src/config.ts';
import { abortMs } from '../../src/queue/worker-queue.ts';
import { requirements } from '../../src/setup/requirements.ts';
import { version } from '../../src/version.ts';
import { readComposeServices } from '../support/compose.ts';
import type { ComposeService } from '../support/compose.ts';
import { listFiles, readText } from '../support/repository.ts';

const services = await readComposeServices();
const dockerfile = await readText('Dockerfile');
const install = await readText('docs/install.md');
const environmentNames = describeSettings().map(({ name }) => name);

const service = (name: string): ComposeService => {
  const found = services[name];
  if (!found) throw new Error(`compose.yaml has no service ${name}`);
  return found;
};

/** The lines of a unit as pairs; a key may come more than once. */
async function readUnit(name: string) {
  const lines = [...(await readText(`docs/systemd/${name}`)).matchAll(/^([A-Z]\w+)=(.*)$/gm)].map(([, key = '', value = '']) => ({ key, value }));
  return (wanted: string) => lines.filter(({ key }) => key === wanted).map(({ value }) => value);
}

/** The environment file of a role as the install page shows it. */
function shownEnvironment(role: 'web' | 'worker'): Record<string, string> {
  const block = install.match(new RegExp(`\`/etc/mayfly/${role}\\.env\`[^\n]*\n\n\`\`\`ini\n([^\`]+)\`\`\``))?.[1] ?? '';
  return Object.fromEntries([...block.matchAll(/^(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
}

const keysOfWorker = ['PRIVATE_KEY', 'PRIVATE_KEY_PATH', 'ANTHROPIC_API_KEY', 'OPENAI_API_KEY', 'GOOGLE_GENERATIVE_AI_API_KEY', 'MAYFLY_COMPATIBLE_API_KEY'];
const minutes = (text: string) => Number(/^(\d+)m(?:in)?$/.exec(text)?.[1]);
const capabilities = (values: readonly string[]) =>
  values
    .flatMap((value) => value.split(' '))
    .map((name) => name.replace(/^CAP_/, ''))
    .toSorted();

/** What is not a variable of Mayfly, but of what starts it. */
const ofOthers = new Set(['NODE_ENV', 'MAYFLY_ETC']);
const unknownNames = (names: readonly string[]) => names.filter((name) => !ofOthers.has(name) && !environmentNames.includes(name));

describe('the deployment files', () => {
  test('name only variables that the configuration has', async () => {
    const inCompose = Object.values(services).flatMap(({ environment }) => Object.keys(environment));
    const inDockerfile = [...dockerfile.matchAll(/^ENV (.+)$/gm)].flatMap(([, line = '']) => [...line.matchAll(/(\w+)=/g)].map(([, name = '']) => name));
    const units = (await listFiles('docs/systemd')).map((file) => file.slice('docs/systemd/'.length));
    const inUnits = (await Promise.all(units.map(async (name) => (await readUnit(name))('Environment')))).flat().map((pair) => pair.split('=')[0] ?? '');
    const unset = (await Promise.all(units.map(async (name) => (await readUnit(name))('UnsetEnvironment')))).flatMap((names) =>
      names.flatMap((line) => line.split(' ')),
    );

    expect(inDockerfile).toContain('HOST');
    expect(unknownNames([...inCompose, ...inDockerfile.filter((name) => name !== 'npm_config_cache'), ...inUnits, ...unset])).toEqual([]);
    expect(unknownNames(['MAYFLY_NO_SUCH'])).toEqual(['MAYFLY_NO_SUCH']);
  });

  test('show on the install page environments that start each role', () => {
    const [web, worker] = [shownEnvironment('web'), shownEnvironment('worker')];

    expect(unknownNames([...Object.keys(web), ...Object.keys(worker)])).toEqual([]);
    expect(() => loadConfig('web', web)).not.toThrow();
    expect(() => loadConfig('worker', { ...worker, PRIVATE_KEY: 'pem' })).not.toThrow();
    expect(web['MAYFLY_JOB_KEY']).toBe(worker['MAYFLY_JOB_KEY']);
  });

  test('give each role its own secrets and no others', async () => {
    const [web, worker] = [service('web'), service('worker')];
    const unit = await readUnit('mayfly-web.service');

    expect(keysOfWorker.filter((name) => name in shownEnvironment('web') || name in web.environment)).toEqual([]);
    expect('WEBHOOK_SECRET' in shownEnvironment('worker')).toBe(false);
    expect([web.env_file, worker.env_file]).toEqual([['${MAYFLY_ETC:-/etc/mayfly}/web.env'], ['${MAYFLY_ETC:-/etc/mayfly}/worker.env']]);
    expect([web.secrets, worker.secrets, service('template').secrets]).toEqual([[], ['app-key'], []]);
    expect([unit('EnvironmentFile'), unit('LoadCredential')]).toEqual([['/etc/mayfly/web.env'], []]);
    expect((await readUnit('mayfly-worker.service'))('EnvironmentFile')).toEqual(['/etc/mayfly/worker.env']);
  });

  test('keep Redis from losing anything', () => {
    const { command } = service('redis');
    const value = (flag: string) => command[command.indexOf(flag) + 1];

    expect(value('--appendonly')).toBe('yes');
    expect(value('--maxmemory-policy')).toBe('noeviction');
    expect(install).toContain('appendonly yes\\nappendfsync everysec\\nmaxmemory 512mb\\nmaxmemory-policy noeviction\\n');
  });

  test('give the web role nothing, and the worker the capabilities that security.md explains', async () => {
    const web = service('web');
    const worker = service('worker');
    const units = await Promise.all(['web', 'worker'].map((role) => readUnit(`mayfly-${role}.service`)));
    const rows = (await readText('docs/security.md')).match(/\| capabilities \| none \| ([A-Z_, ]+) \| none \|/)?.[1]?.split(', ') ?? [];

    expect([web.cap_drop, web.cap_add, web.read_only, web.volumes]).toEqual([['ALL'], [], true, []]);
    expect(units[0]?.('CapabilityBoundingSet')).toEqual(['']);
    expect([worker.cap_drop, worker.read_only, worker.privileged]).toEqual([['ALL'], true, false]);
    expect(capabilities(worker.cap_add)).toEqual(rows.toSorted());
    expect(capabilities(units[1]?.('CapabilityBoundingSet') ?? [])).toEqual(rows.toSorted());
    expect(web.networks.filter((name) => worker.networks.includes(name))).toEqual(['queue']);
    // Docker's own filter stays around web; the worker's lets gVisor change the root, and leaves the kernel's other doors closed.
    expect(web.security_opt).toEqual(['no-new-privileges:true']);
    expect(worker.security_opt).toContain('seccomp:docs/compose/worker-seccomp.json');
    const filter = z
      .object({ syscalls: z.array(z.object({ names: z.array(z.string()) })) })
      .parse(JSON.parse(await readText('docs/compose/worker-seccomp.json')));
    const closed = filter.syscalls.flatMap(({ names }) => names);
    expect(closed).toEqual(expect.arrayContaining(['bpf', 'init_module', 'kexec_load', 'open_by_handle_at', 'perf_event_open', 'userfaultfd']));
    expect(closed).not.toContain('pivot_root');
  });

  test('let a worker drain before they kill it', async () => {
    const needed = loadConfig('tool', {}).MAYFLY_DRAIN_MINUTES * 60_000 + abortMs;

    expect(minutes(service('worker').stop_grace_period ?? '') * 60_000).toBeGreaterThan(needed);
    expect(minutes((await readUnit('mayfly-worker.service'))('TimeoutStopSec')[0] ?? '') * 60_000).toBeGreaterThan(needed);
  });

  test('bring whatever `mayfly setup` would install for a worker, also where repositories name images', () => {
    const [, list = ''] = /AS worker\n.*?--no-install-recommends \\\n([^\\]+)\\/s.exec(dockerfile) ?? [];
    const brought = new Set(list.trim().split(/\s+/));
    // Redis has a container of its own, and the last two are for tests.
    const elsewhere = new Set(['redis-server', 'openssl', 'curl']);
    const wanted = requirements.map(({ packageName }) => packageName).filter((name) => !elsewhere.has(name));

    expect(wanted.filter((name) => !brought.has(name))).toEqual([]);
    expect(wanted).toContain('skopeo');
  });

  test('start and ask roles that the command line has', async () => {
    const commandLine = await readText('src/command-line.ts');
    const asked = [...dockerfile.matchAll(/"mayfly", "health", "--role", "(\w+)"/g)].map(([, role]) => role);

    expect(asked).toEqual(['worker', 'web']);
    expect(commandLine).toContain(".command('health')");
    for (const path of ['/healthz', '/readyz']) {
      expect(await readText('src/webhook/receive.ts')).toContain(`'${path}'`);
      expect(await readText('src/health.ts')).toContain(`'${path}'`);
      expect(await readText('docs/operations.md')).toContain(path);
    }
    expect(
      Object.values(services)
        .flatMap(({ build }) => (build ? [build.target] : []))
        .every((target) => dockerfile.includes(` AS ${target}\n`)),
    ).toBe(true);
  });

  test('are of the version that package.json has', async () => {
    expect(z.object({ version: z.string() }).parse(JSON.parse(await readText('package.json'))).version).toBe(version);
  });
});
