/**
 * The operator's environment, parsed once into one frozen object; the only file that reads process.env.
 * Every problem is reported together, before any socket opens.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { gitEnvironment, homeDirectory, readOwnFiles, readPrivateKey } from './config-files.ts';
import { FixError } from './errors.ts';

export type Role = 'web' | 'worker' | 'all' | 'tool';

const count = (fallback: number, description: string) => z.coerce.number().int().positive().default(fallback).meta({ description });
const countOrNone = (fallback: number, description: string) => z.coerce.number().int().min(0).max(1000).default(fallback).meta({ description });
const usd = (fallback: number, description: string) => z.coerce.number().positive().max(1e6).default(fallback).meta({ description });
/** https://www.debian.org/doc/debian-policy/ch-controlfields.html#source; one that ends in `-` would tell apt to remove. */
const debianPackage = /^[a-z0-9][a-z0-9+.-]{0,98}[a-z0-9+.]$/;
const list = (description: string) =>
  z
    .string()
    .default('')
    .transform((text) => text.split(/[\s,]+/).filter((item) => item !== ''))
    .meta({ description });
/** Methods belong to the host behind them, although there may be a space between the two. */
const hostList = (description: string) =>
  z
    .string()
    .default('')
    .transform((text) => (text.match(/(?:(?:[A-Z]+,)*[A-Z]+ +)?[^\s,]+/g) ?? []).map((item) => item.replace(/ +/, ' ')))
    .meta({ description });
/** Without TLS only on this host itself. A registry, or one and the beginning of a path. */
const registry = /^(?:http:\/\/(?:127\.0\.0\.1|localhost)(?::\d{1,5})?|(?!http:)[a-z0-9][a-z0-9.-]{0,252}(?::\d{1,5})?)(?:\/[a-z0-9._-]{1,100}){0,8}$/;
const registryList = (description: string) =>
  list(description).refine((names) => names.every((name) => registry.test(name)), {
    error: 'not registries, such as ghcr.io or ghcr.io/acme; http:// only before 127.0.0.1 and localhost',
  });
const packageList = (description: string) =>
  list(description).refine((names) => names.every((name) => debianPackage.test(name)), { error: 'not the names of Debian packages' });
const flag = (description: string) =>
  z
    .enum(['0', '1'])
    .default('0')
    .transform((value) => value === '1')
    .meta({ description });
const optional = (description: string) =>
  z
    .string()
    .optional()
    .transform((value) => (value === undefined || value === '' ? null : value))
    .meta({ description });
/** With what may be a password in it. */
const proxyAddress = (text: string | null): boolean => text === null || (/^https?:\/\/(?:[^\s/?#%]|%[\da-f]{2})+\/?$/i.test(text) && URL.canParse(text));
/** `vendor/name=input:output` or `vendor/name=input:output:cached`; a name may have colons and slashes of its own. */
const priceSyntax = /^([a-z]+\/[^\s,=]{1,200})=(\d{1,6}(?:\.\d{1,6})?):(\d{1,6}(?:\.\d{1,6})?)(?::(\d{1,6}(?:\.\d{1,6})?))?$/;
const priceList = (description: string) =>
  list(description)
    .transform((items, context) => {
      const read = items.map((item) => [item, priceSyntax.exec(item)] as const);
      const wrong = read.find(([, match], index) => match === null || read.findIndex(([, other]) => other?.[1] === match[1]) !== index);
      if (wrong)
        context.addIssue(
          `${JSON.stringify(wrong[0].slice(0, 100))} is not vendor/name=input:output or vendor/name=input:output:cached, or its model comes twice`,
        );
      return Object.fromEntries(
        read.flatMap(([, match]) => {
          const [, name = '', input, output, cached = input] = match ?? [];
          return match === null ? [] : [[name, { input: Number(input), output: Number(output), cached: Number(cached) }]];
        }),
      );
    })
    .meta({ description });
const secret = (description: string) => optional(description).meta({ description, secret: true });

const asRoot = process.getuid?.() === 0;

/** Every variable that Mayfly reads. Names that Probot or a vendor made common keep their plain form. */
const Environment = z.object({
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info').meta({ description: 'Least level that is logged.' }),
  LOG_FORMAT: z.enum(['json', 'pretty']).default('json').meta({ description: 'json for machines, pretty for people.' }),
  REDIS_URL: optional('Redis that links web and worker: redis://, rediss:// or the path of a Unix socket.'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000).meta({ description: 'Port of the webhook server.' }),
  HOST: z.string().default('127.0.0.1').meta({ description: 'Address that the webhook server binds.' }),
  WEBHOOK_PATH: z.string().startsWith('/').default('/api/github/webhooks').meta({ description: 'Path that GitHub posts to.' }),
  WEBHOOK_SECRET: secret('Secret of the App’s webhook; at least 16 characters. There is no default.'),
  APP_ID: z.coerce.number().int().positive().optional().meta({ description: 'Id of the GitHub App.' }),
  PRIVATE_KEY: secret('Private key of the App, PEM. PRIVATE_KEY_PATH is better: a file of mode 0600.'),
  PRIVATE_KEY_PATH: optional('File that holds the private key.'),
  GHE_HOST: optional('Host of a GitHub Enterprise Server.'),
  GITHUB_API_URL: optional('Address of the REST API; from GHE_HOST when not given.'),
  GITHUB_SERVER_URL: optional('Address that repositories are cloned from; from GHE_HOST when not given.'),
  MAYFLY_JOB_KEY: secret('Key that signs what goes through Redis; the same for web and worker; at least 32 characters.'),
  MAYFLY_MODEL: optional('Model as vendor/name, for example anthropic/claude-sonnet-4-5.'),
  MAYFLY_MODELS: list(
    'Models that a repository may choose from with `model:` in its settings file, beside MAYFLY_MODEL; with a space or a comma between them.',
  ),
  MAYFLY_FALLBACK_MODEL: optional('Model that goes on with a run when the first one does not answer.'),
  MAYFLY_MODEL_PRICES: priceList(
    'Prices that go over the built-in table, in USD per million tokens, as vendor/name=input:output or vendor/name=input:output:cached, with a space or a comma between them.',
  ),
  ANTHROPIC_API_KEY: secret('Key for anthropic/... models.'),
  ANTHROPIC_BASE_URL: optional('Other address of the Anthropic API.'),
  OPENAI_API_KEY: secret('Key for openai/... models.'),
  OPENAI_BASE_URL: optional('Other address of the OpenAI API.'),
  GOOGLE_GENERATIVE_AI_API_KEY: secret('Key for google/... models.'),
  MAYFLY_COMPATIBLE_API_KEY: secret('Key for compatible/... models (any OpenAI-compatible server).'),
  MAYFLY_COMPATIBLE_BASE_URL: optional('Address of the server of compatible/... models.'),
  MAYFLY_LABEL: z.string().min(1).max(50).default('mayfly').meta({ description: 'Label that starts a run, where the settings of a repository name no other.' }),
  MAYFLY_ALLOW_BOTS: list('Logins of bots that may trigger runs, with a space or a comma between them.'),
  MAYFLY_MIN_PERMISSION: z
    .enum(['write', 'maintain', 'admin'])
    .default('write')
    .meta({ description: 'Least permission of whoever starts a run; the settings of a repository may ask for more.' }),
  MAYFLY_CONCURRENCY: count(1, 'Runs at once on this worker.'),
  MAYFLY_RUNS_PER_REPOSITORY: count(1, 'Runs at once in one repository.'),
  MAYFLY_RUNS_PER_INSTALLATION: count(3, 'Runs at once in one installation of the App.'),
  MAYFLY_RUNS_PER_USER_AND_HOUR: count(5, 'Runs that one person may begin in an installation and hour; what is more waits.'),
  MAYFLY_RUNS_PER_REPOSITORY_AND_DAY: count(50, 'Runs that may begin in one repository and day (UTC); what is more waits.'),
  MAYFLY_CACHE_DIR: optional('Guest templates and mirrors. Default: /var/cache/mayfly as root, ~/.cache/mayfly otherwise.'),
  MAYFLY_STATE_DIR: optional('Live VMs and transcripts. Default: /var/lib/mayfly as root, ~/.local/state/mayfly otherwise.'),
  MAYFLY_PROVIDER: z
    .enum(['auto', 'qemu', 'oci'])
    .default('auto')
    .meta({ description: 'What boots the VMs: qemu (micro-VMs), oci (gVisor), auto (qemu where KVM works, else oci, else emulation).' }),
  MAYFLY_POOL_SIZE: countOrNone(1, 'VMs of each template that stand ready, so that a run has one at once; 0 for none. One that waits takes some 60 MiB.'),
  MAYFLY_GUEST_MEMORY_MIB: count(4096, 'Memory of a VM, in MiB.'),
  MAYFLY_GUEST_VCPUS: count(2, 'Virtual processors of a VM.'),
  MAYFLY_GUEST_DISK_GIB: count(10, 'Disk of a VM, in GiB.'),
  MAYFLY_MAX_GUEST_DISK_GIB: z.coerce
    .number()
    .int()
    .positive()
    .optional()
    .meta({ description: 'Largest disk that the settings of a repository may ask for, in GiB. Default: MAYFLY_GUEST_DISK_GIB.' }),
  MAYFLY_REPOSITORY_TEMPLATES_GIB: z.coerce
    .number()
    .nonnegative()
    .max(1e6)
    .default(20)
    .meta({ description: 'Disk for the setups of repositories that are kept between runs, in GiB; the least recently used go first. 0 keeps none.' }),
  MAYFLY_GUEST_PACKAGES: packageList(
    'Debian packages that every VM has beside the usual ones, with a space or a comma between them. With others, another template is built.',
  ),
  MAYFLY_GUEST_KERNEL: optional('File of another kernel for VMs under QEMU; docs/toolchains.md says which will do. With another, another template is built.'),
  MAYFLY_IMAGE_REGISTRIES: registryList(
    'Registries, or registries with the beginning of a path, that repositories may take images from with `sandbox.image:`, with a space or a comma between them. Empty: none.',
  ),
  MAYFLY_IMAGE_AUTH_FILE: optional(
    'JSON file of mode 0600 with credentials for these registries, by the repositories that may use them: docs/operations.md says how.',
  ),
  MAYFLY_IMAGE_MAX_MIB: count(
    2048,
    'Size of such an image in its registry, in MiB. Unpacked it may have four times as much, and not more than the disk of a VM holds.',
  ),
  MAYFLY_IMAGES_GIB: count(40, 'Disk for such images that are kept between runs, in GiB; the least recently used go first.'),
  // Below 65,536 systemd gives ids to whatever asks for a user of the moment: https://systemd.io/UIDS-GIDS/
  MAYFLY_UID_FIRST: count(70_000, 'First of the 1,000 user ids that VMs run as.'),
  MAYFLY_ALLOW_UNLIMITED_VMS: flag('1 starts VMs although no control group is writable.'),
  MAYFLY_EXTRA_CA: list('Files of CA certificates that guests trust too, with a space or a comma between them.'),
  MAYFLY_INTERNAL_HOSTS: list('Hosts that guests may reach although their address is private or of the host’s network, with a space or a comma between them.'),
  MAYFLY_ALLOWED_HOSTS: hostList(
    'All hosts that a phase of a run may reach, with a space or a comma between them: those that the settings of a repository open, and the package registries of setup, whose names stand for them (npm, yarn, pypi, crates, go, rubygems, maven, debian). *.example.org is every name below it, GET example.org/a/* a part of one. npm’s registry of this host stays open during setup. Empty: any.',
  ),
  MAYFLY_PACKAGE_NAMES: count(50, 'Names of packages that a run may ask registries for after setup, where the settings of a repository open them.'),
  MAYFLY_CREDENTIALS_FILE: optional('JSON file of mode 0600 with what runs may ask private hosts with: docs/operations.md says how.'),
  MAYFLY_MIN_ISOLATION: z.enum(['emulation', 'syscall', 'hardware']).default('emulation').meta({
    description: 'Weakest wall around a VM that runs are started with: hardware (KVM), syscall (gVisor), emulation.',
  }),
  MAYFLY_ALLOW_ROOT: flag('1 lets the settings of a repository keep sudo in the VM after setup.'),
  MAYFLY_HOLD_CI: flag('1 holds workflows on our commits until a person releases them, whatever the settings of a repository say.'),
  MAYFLY_PROTECTED_PATHS: list('Paths that no patch may touch, whatever the settings of a repository say, as patterns with a space or a comma between them.'),
  MAYFLY_MAX_STEPS: count(200, 'Steps of the agent in one run.'),
  MAYFLY_MAX_COST_USD: usd(5, 'Money for the model in one run, where its price is known.'),
  MAYFLY_MAX_TOKENS: count(20_000_000, 'Tokens, in and out, of one run.'),
  MAYFLY_CONTEXT_TOKENS: z.coerce.number().int().min(16_000).optional().meta({
    description:
      'Tokens that the model can read at once. Default: 200000, 128000 for models that are not known. The task gets a quarter of it; beyond three quarters, old steps are shortened.',
  }),
  MAYFLY_DAILY_COST_USD_PER_REPOSITORY: usd(25, 'Money for the model in one repository and day (UTC), where its price is known.'),
  MAYFLY_DAILY_COST_USD_PER_INSTALLATION: usd(100, 'Money for the model in one installation of the App and day (UTC), where its price is known.'),
  MAYFLY_DAILY_COST_USD_PER_USER: usd(25, 'Money for the model by one person in an installation and day (UTC), where its price is known.'),
  MAYFLY_DAILY_TOKENS_PER_REPOSITORY: count(100_000_000, 'Tokens, in and out, of one repository and day (UTC).'),
  MAYFLY_DAILY_TOKENS_PER_INSTALLATION: count(400_000_000, 'Tokens, in and out, of one installation of the App and day (UTC).'),
  MAYFLY_DAILY_TOKENS_PER_USER: count(100_000_000, 'Tokens, in and out, by one person in an installation and day (UTC).'),
  MAYFLY_SOFT_MINUTES: count(45, 'Minutes after which the agent is asked to wrap up.'),
  MAYFLY_HARD_MINUTES: count(60, 'Minutes after which the agent is stopped.'),
  MAYFLY_SETUP_MINUTES: count(15, 'Minutes for all setup commands.'),
  MAYFLY_PROOF_MINUTES: count(15, 'Minutes for all runs of the tests of one proof together.'),
  MAYFLY_PROOF_ROUNDS: count(
    2,
    'How often the host judges a patch: a regression goes back to the agent, but after the last time. From 2 on a run has two VMs at once.',
  ),
  MAYFLY_COMMAND_SECONDS: count(300, 'Seconds for one command of the agent.'),
  MAYFLY_DRAIN_MINUTES: z.coerce
    .number()
    .int()
    .nonnegative()
    .default(10)
    .meta({ description: 'Minutes that runs get to end after SIGTERM; what is left then goes back to the queue. 0: at once.' }),
  MAYFLY_LOCK_SECONDS: count(30, 'Seconds without a sign of life after which a worker has lost its runs, and another one takes them.'),
  MAYFLY_SETUP: z.enum(['install', 'check']).default('install').meta({ description: 'check: `mayfly setup` never installs, it only says what lacks.' }),
  NODE_EXTRA_CA_CERTS: optional('Node’s own setting; the certificates reach the guest too.'),
  SSL_CERT_FILE: optional('OpenSSL’s own setting; used by git on the host.'),
  HTTPS_PROXY: optional('Proxy that the host itself has to use.').refine(proxyAddress, 'not an address such as https://user:pass%40word@proxy:3129'),
  NO_PROXY: optional('Hosts that the host reaches without that proxy.'),
  npm_config_registry: optional('npm’s registry setting; reaches the guest without credentials.'),
  PATH: z.string().default('/usr/sbin:/usr/bin:/sbin:/bin').meta({ description: 'Where the host’s programs are.' }),
});
type Environment = z.infer<typeof Environment>;

const needed: Record<Role, readonly (keyof Environment)[]> = {
  web: ['REDIS_URL', 'WEBHOOK_SECRET', 'MAYFLY_JOB_KEY'],
  worker: ['REDIS_URL', 'MAYFLY_JOB_KEY', 'APP_ID', 'MAYFLY_MODEL'],
  all: ['REDIS_URL', 'WEBHOOK_SECRET', 'MAYFLY_JOB_KEY', 'APP_ID', 'MAYFLY_MODEL'],
  tool: [],
};

export interface Setting {
  readonly name: string;
  readonly meaning: string;
  /** As it would be written; null when there is none. */
  readonly fallback: string | null;
  /** What it may be, when that is one of a few words. */
  readonly choices: readonly string[];
  readonly isSecret: boolean;
  /** Roles that do not start without it. */
  readonly neededBy: readonly Role[];
}

const Described = z.object({
  description: z.string(),
  default: z.union([z.string(), z.number()]).optional(),
  enum: z.array(z.string()).default([]),
  secret: z.boolean().default(false),
});

/** Every variable of the environment, for docs/configuration.md. */
export function describeSettings(): readonly Setting[] {
  const { properties = {} } = z.toJSONSchema(Environment, { io: 'input' });
  return Object.entries(properties).map(([name, schema]) => {
    const { description: meaning, default: fallback, enum: choices, secret: isSecret } = Described.parse(schema);
    const neededBy = (['web', 'worker'] as const).filter(
      (role) => needed[role].some((one) => one === name) || (role === 'worker' && name === 'PRIVATE_KEY_PATH'),
    );
    return { name, meaning, fallback: fallback === undefined || fallback === '' ? null : String(fallback), choices, isSecret, neededBy };
  });
}

export interface Config extends Readonly<Omit<Environment, 'MAYFLY_CACHE_DIR' | 'MAYFLY_STATE_DIR' | 'MAYFLY_MAX_GUEST_DISK_GIB'>> {
  readonly MAYFLY_CACHE_DIR: string;
  readonly MAYFLY_STATE_DIR: string;
  readonly MAYFLY_MAX_GUEST_DISK_GIB: number;
  /** The text of MAYFLY_CREDENTIALS_FILE, and of MAYFLY_IMAGE_AUTH_FILE; null when there is none. */
  readonly credentialsJson: string | null;
  readonly imageAuthJson: string | null;
  /** PEM, from PRIVATE_KEY or PRIVATE_KEY_PATH; null when neither is given. */
  readonly privateKey: string | null;
  /** Variables that are set; the others have their defaults. */
  readonly given: ReadonlySet<string>;
  readonly apiUrl: string;
  readonly webUrl: string;
  /** The environment that git on the host may see: where certificates are, nothing else. */
  readonly gitEnvironment: Readonly<Record<string, string>>;
}

/** Variables of ours that are set to nothing are as good as unset, also for libraries: the AI SDK refuses an empty base URL when it is imported. */
export function dropEmptyVariables(environment: NodeJS.ProcessEnv = process.env): void {
  for (const name of Object.keys(Environment.shape)) if (environment[name] === '') delete environment[name];
}

/** Parses the environment for a role; throws `config_invalid` whose details name every problem. */
export function loadConfig(role: Role, environment: NodeJS.ProcessEnv = process.env): Config {
  const parsed = Environment.safeParse(environment);
  if (!parsed.success) throw new FixError('config_invalid', { details: { problems: z.prettifyError(parsed.error).split('\n') } });
  const values = parsed.data;
  const { key, problem } = readPrivateKey(values.PRIVATE_KEY, values.PRIVATE_KEY_PATH);
  const problems = needed[role].filter((name) => values[name] === null || values[name] === undefined).map((name) => `${name} is not set`);
  if (problem) problems.push(problem);
  else if ((role === 'worker' || role === 'all') && key === null) problems.push('PRIVATE_KEY_PATH (or PRIVATE_KEY) is not set');
  // The web process has no use for them, so it does not even read them.
  const own = readOwnFiles(role === 'web' ? {} : values);
  problems.push(...own.problems);
  if (values.WEBHOOK_SECRET !== null && values.WEBHOOK_SECRET.length < 16) problems.push('WEBHOOK_SECRET is shorter than 16 characters');
  if (values.MAYFLY_JOB_KEY !== null && values.MAYFLY_JOB_KEY.length < 32) problems.push('MAYFLY_JOB_KEY is shorter than 32 characters');
  const { MAYFLY_GUEST_DISK_GIB: diskGib, MAYFLY_MAX_GUEST_DISK_GIB: maxDiskGib = diskGib } = values;
  if (maxDiskGib < diskGib) problems.push('MAYFLY_MAX_GUEST_DISK_GIB is smaller than MAYFLY_GUEST_DISK_GIB');
  if (problems.length > 0) throw new FixError('config_invalid', { details: { problems } });
  const home = homeDirectory();
  return Object.freeze({
    ...values,
    ...own.texts,
    privateKey: key,
    given: new Set(Object.keys(Environment.shape).filter((name) => (environment[name] ?? '') !== '')),
    MAYFLY_CACHE_DIR: values.MAYFLY_CACHE_DIR ?? (asRoot ? '/var/cache/mayfly' : join(home, '.cache/mayfly')),
    MAYFLY_STATE_DIR: values.MAYFLY_STATE_DIR ?? (asRoot ? '/var/lib/mayfly' : join(home, '.local/state/mayfly')),
    MAYFLY_MAX_GUEST_DISK_GIB: maxDiskGib,
    apiUrl: values.GITHUB_API_URL ?? (values.GHE_HOST ? `https://${values.GHE_HOST}/api/v3` : 'https://api.github.com'),
    webUrl: values.GITHUB_SERVER_URL ?? `https://${values.GHE_HOST ?? 'github.com'}`,
    gitEnvironment: gitEnvironment(environment),
  });
}
