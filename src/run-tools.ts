/** What a process that runs VMs has once: provider, model, gateway, limits. Wiring only; the worker and `mayfly fix` share it. */
import { join } from 'node:path';
import { createTranscript } from './agent/transcript.ts';
import type { Config } from './config.ts';
import { FixError } from './errors.ts';
import { createRepositoryTemplates } from './fix/repository-template.ts';
import type { RunLimits, RunTools } from './fix/run-request.ts';
import { createGateway } from './gateway/create-gateway.ts';
import { credentialsFor, requireSame } from './gateway/credential-repositories.ts';
import { readCredentials, secretsOf } from './gateway/credentials.ts';
import type { Credential } from './gateway/credentials.ts';
import { createHostFetch } from './gateway/host-fetch.ts';
import type { Registry } from './gateway/package-names.ts';
import { readSurroundings } from './gateway/surroundings.ts';
import type { Surroundings } from './gateway/surroundings.ts';
import { createTrust } from './gateway/trust.ts';
import { createMirrors } from './git/create-mirrors.ts';
import type { Mirrors } from './git/mirror.ts';
import type { ProviderName } from './job.ts';
import type { Log, Secrets } from './log.ts';
import { createModel } from './model/create-model.ts';
import { createModels } from './model/create-models.ts';
import type { Model, Models } from './model/model.ts';
import { findPrice } from './model/prices.ts';
import { createOperator, modelNames } from './operator.ts';
import { chooseProvider } from './sandbox/choose-provider.ts';
import { createGuestImages } from './sandbox/guest-images.ts';
import { readGuestNodeVersion } from './sandbox/image.ts';
import { createLayers } from './sandbox/layers.ts';
import { createPool } from './sandbox/pool.ts';
import { pruneTemplates } from './sandbox/prune.ts';
import type { QemuOptions } from './sandbox/qemu.ts';
import { readRegistryCredentials, registryCredentialsFor, registrySecretsOf } from './sandbox/registry-credentials.ts';
import type { RegistryCredential } from './sandbox/registry-credentials.ts';
import type { GuestImages, Layers, Provider } from './sandbox/sandbox.ts';
import { buildTemplate } from './sandbox/template.ts';
import type { Building } from './sandbox/template.ts';
import { isHostRule } from './settings/host-rules.ts';
import type { Operator } from './settings/operator.ts';
import { hostPresets } from './settings/presets.ts';
import { findRegistryRule, parseImageName, plainHttp } from './settings/images.ts';
import { settingsPath } from './settings/schema.ts';

const minuteMs = 60_000;

/** Throws at once for what a run would fail on later: no template, no QEMU, no key, a model name that is not understood. */
export async function createRunTools(config: Config, options: { log: Log; secrets: Secrets; model: string | null }): Promise<RunTools> {
  const credentials = openCredentials(config, options.secrets);
  const models = openModels(config, options);
  const choice = await chooseProvider(vmOptions(config, options.log), wantedProvider(config));
  const extraCaFiles = [...config.MAYFLY_EXTRA_CA, ...(config.NODE_EXTRA_CA_CERTS === null ? [] : [config.NODE_EXTRA_CA_CERTS])];
  const surroundings = await readSurroundings({ extraCaFiles, npmRegistry: config.npm_config_registry });
  const operator = createOperator(config, options.model);
  return {
    provider: choice.provider,
    providerReason: choice.reason,
    isolation: choice.isolation,
    operator,
    models,
    surroundings,
    guestImages: openGuestImages(config, choice.provider, { ...options, credentials: openImageCredentials(config, options.secrets) }),
    guestPackages: config.MAYFLY_GUEST_PACKAGES,
    guestNodeVersion: await readGuestNodeVersion(),
    credentialsOf: (repository) => credentialsFor(credentials, repository, pinnedNames(config)),
    openGateway: openGateways(config, { operator, surroundings }),
    openTranscript: (runId) => createTranscript(join(config.MAYFLY_STATE_DIR, 'transcripts', `${runId}.jsonl`), options.secrets.scrub),
    limits: runLimits(config),
    secrets: options.secrets,
    // Of runs that GitHub knows nothing of, none is kept.
    repositoryTemplates: null,
  };
}

/** The way out of each VM, on this host and by this operator's word. */
export function openGateways(
  config: Config,
  { operator, surroundings }: { operator: Operator; surroundings: Pick<Surroundings, 'caPem' | 'registries'> },
): RunTools['openGateway'] {
  // One list is the ceiling of all phases.
  const hosts = operator.ceilings['allow.setup'];
  const shared = {
    internal: config.MAYFLY_INTERNAL_HOSTS,
    upstreamProxy: config.HTTPS_PROXY === null ? null : new URL(config.HTTPS_PROXY),
    noProxy: config.NO_PROXY,
    settingsKey: `allow: in ${settingsPath}`,
    isSettable: isHostRule,
    ceiling: hosts ? { allow: hosts.value, key: hosts.variable } : null,
    registries: [...surroundings.registries, ...publicRegistries()],
    trust: createTrust(surroundings.caPem),
    limits: { packageNames: config.MAYFLY_PACKAGE_NAMES },
  };
  return ({ usage, ...own }) => createGateway({ ...shared, ...own, run: usage });
}

/** Whose a name was when the operator's credentials were used for it first. */
const pinnedNames = ({ MAYFLY_STATE_DIR }: Config): string => join(MAYFLY_STATE_DIR, 'credential-repositories');

/** What runs may ask private hosts with; from here on it is seen nowhere. */
function openCredentials({ credentialsJson }: Config, secrets: Secrets): readonly Credential[] {
  if (credentialsJson === null) return [];
  const read = readCredentials(credentialsJson);
  if ('problem' in read) throw new FixError('config_invalid', { details: { problems: [`MAYFLY_CREDENTIALS_FILE: ${read.problem}`] } });
  for (const secret of read.credentials.flatMap(secretsOf)) secrets.protect(secret);
  return read.credentials;
}

/** The same for images in registries. */
function openImageCredentials({ imageAuthJson }: Config, secrets: Secrets): readonly RegistryCredential[] {
  if (imageAuthJson === null) return [];
  const read = readRegistryCredentials(imageAuthJson);
  if ('problem' in read) throw new FixError('config_invalid', { details: { problems: [`MAYFLY_IMAGE_AUTH_FILE: ${read.problem}`] } });
  for (const secret of read.credentials.flatMap(registrySecretsOf)) secrets.protect(secret);
  return read.credentials;
}

/** The registries that everybody uses: how their paths name packages. */
function publicRegistries(): readonly Registry[] {
  const { npm, yarn, pypi, crates, go, rubygems, maven, debian } = hostPresets;
  const at = (kind: Registry['kind'], hosts: readonly string[], basePath = '/'): readonly Registry[] => hosts.map((host) => ({ kind, host, basePath }));
  return [
    ...at('npm', [...npm, ...yarn]),
    ...at('pypi', pypi),
    ...at('crates', crates),
    ...at('go', go),
    ...at('rubygems', rubygems),
    ...at('maven', maven, '/maven2/'),
    ...at('debian', debian),
  ];
}

/** Kept disks of this configuration; none where the operator wants none. */
export function createLayersFrom(config: Config, log: Log): Layers {
  return createLayers({ directory: join(config.MAYFLY_CACHE_DIR, 'layers'), maxBytes: config.MAYFLY_REPOSITORY_TEMPLATES_GIB * 2 ** 30, log });
}

/** The operator's word on what boots VMs; null leaves it to the host. */
export const wantedProvider = ({ MAYFLY_PROVIDER: wanted }: Config): ProviderName | null => (wanted === 'auto' ? null : wanted);

export function vmOptions(config: Config, log: Log): QemuOptions {
  return {
    cacheDir: config.MAYFLY_CACHE_DIR,
    stateDir: config.MAYFLY_STATE_DIR,
    memoryMib: config.MAYFLY_GUEST_MEMORY_MIB,
    vcpus: config.MAYFLY_GUEST_VCPUS,
    diskGib: config.MAYFLY_GUEST_DISK_GIB,
    maxDiskGib: config.MAYFLY_MAX_GUEST_DISK_GIB,
    extraPackages: config.MAYFLY_GUEST_PACKAGES,
    kernelFile: config.MAYFLY_GUEST_KERNEL,
    uidRange: { first: config.MAYFLY_UID_FIRST, count: 1000 },
    allowUnlimited: config.MAYFLY_ALLOW_UNLIMITED_VMS,
    log,
  };
}

const imageMinutes = 20;
/** Beside those that runs of this worker may be using. */
const imagesKept = 4;

/** Images of registries that the operator allows, for guests of this provider. */
function openGuestImages(config: Config, provider: Provider, { log, credentials }: { log: Log; credentials: readonly RegistryCredential[] }): GuestImages {
  const blobBytes = config.MAYFLY_IMAGE_MAX_MIB * 2 ** 20;
  // In the VM that unpacks it there is room for what is unpacked and for the file system made of it.
  const maxUnpackedBytes = Math.min(4 * blobBytes, Math.floor(config.MAYFLY_GUEST_DISK_GIB * 0.45 * 2 ** 30));
  return createGuestImages({
    ...vmOptions(config, log),
    provider,
    registry: { environment: config.gitEnvironment },
    async credentialsOf(repository) {
      const found = registryCredentialsFor(credentials, repository.name);
      if (found.length > 0) await requireSame(repository, pinnedNames(config));
      return found;
    },
    limits: { maxBlobBytes: blobBytes, maxUnpackedBytes, maxFiles: 500_000 },
    kept: imagesKept + config.MAYFLY_CONCURRENCY,
    maxBytes: config.MAYFLY_IMAGES_GIB * 2 ** 30,
    timeoutMs: imageMinutes * minuteMs,
    locate(text) {
      const name = parseImageName(text);
      const rule = name && findRegistryRule(name, config.MAYFLY_IMAGE_REGISTRIES);
      return name && rule !== null ? { ...name, isPlain: plainHttp.test(rule) } : null;
    },
  });
}

/** The guest template of this configuration, built first when it is missing; older ones that nothing needs are removed. */
export async function ensureTemplate(config: Config, log: Log, building: Building): Promise<{ directory: string; accel: string }> {
  const options = vmOptions(config, log);
  const template = await buildTemplate(options, building);
  const removed = await pruneTemplates(template, options);
  if (removed.length > 0) building.onProgress(`removed ${removed.length} old guest images and snapshots`);
  return { directory: template.image.directory, accel: template.shape.accel };
}

/** What makes a run of this worker begin sooner: VMs that stand ready, and what earlier runs left for the next one of their repository. */
export interface Reserves extends Pick<RunTools, 'repositoryTemplates'> {
  /** The same provider, with the pool in front of it. */
  readonly provider: Provider;
  /** Throws away what waits, and ends what is being made. */
  close(): Promise<void>;
}

/** From here on VMs of ours may be alive; whoever opens it closes it. */
export function openReserves(config: Config, provider: Provider, log: Log): Reserves {
  const { MAYFLY_POOL_SIZE: size, MAYFLY_GUEST_VCPUS: cpus, MAYFLY_GUEST_MEMORY_MIB: memoryMib, MAYFLY_GUEST_DISK_GIB: diskGib } = config;
  const pool = createPool({ provider, size, vm: { cpus, memoryMib, diskGib }, log });
  const options = { provider, layers: createLayersFrom(config, log), onKept: pool.expect.bind(pool), log };
  const repositoryTemplates = config.MAYFLY_REPOSITORY_TEMPLATES_GIB === 0 ? null : createRepositoryTemplates(options);
  const close = async (): Promise<void> => void (await Promise.all([pool.drain(), repositoryTemplates?.close()]));
  return { provider: pool, repositoryTemplates, close };
}

export function createMirrorsFrom(config: Config, log: Log): Mirrors {
  return createMirrors({ directory: join(config.MAYFLY_CACHE_DIR, 'mirrors'), environment: config.gitEnvironment, log });
}

/** How this host reaches GitHub and the model. */
export function createFetch(config: Config): typeof fetch {
  return createHostFetch({ proxy: config.HTTPS_PROXY, noProxy: config.NO_PROXY });
}

/** One line a vendor: whose key, which address. */
export function modelVendors(config: Config): Record<string, { key: string | null; keyName: string; baseUrl: string | null }> {
  return {
    anthropic: { key: config.ANTHROPIC_API_KEY, keyName: 'ANTHROPIC_API_KEY', baseUrl: config.ANTHROPIC_BASE_URL },
    openai: { key: config.OPENAI_API_KEY, keyName: 'OPENAI_API_KEY', baseUrl: config.OPENAI_BASE_URL },
    google: { key: config.GOOGLE_GENERATIVE_AI_API_KEY, keyName: 'GOOGLE_GENERATIVE_AI_API_KEY', baseUrl: null },
    compatible: { key: config.MAYFLY_COMPATIBLE_API_KEY, keyName: 'MAYFLY_COMPATIBLE_API_KEY', baseUrl: config.MAYFLY_COMPATIBLE_BASE_URL },
  };
}

function openModels(config: Config, { model, log }: { model: string | null; log: Log }): Models {
  if (model === null) throw new FixError('model_unknown', { details: { reason: 'give --model or set MAYFLY_MODEL' } });
  const create = (name: string): Model => openModel(config, name, log);
  return createModels({ names: modelNames(config, model), fallback: config.MAYFLY_FALLBACK_MODEL, create, log });
}

function openModel(config: Config, name: string, log: Log): Model {
  const vendors = modelVendors(config);
  const vendor = vendors[name.split('/', 1)[0] ?? ''];
  if (!vendor) throw new FixError('model_unknown', { details: { name, reason: `vendors: ${Object.keys(vendors).join(', ')}` } });
  if (vendor.key === null) throw new FixError('model_credentials', { details: { name, reason: `${vendor.keyName} is not set` } });
  const price = findPrice(name, config.MAYFLY_MODEL_PRICES);
  return createModel({ name, apiKey: vendor.key, baseUrl: vendor.baseUrl, price, log, fetch: createFetch(config) });
}

function runLimits(config: Config): RunLimits {
  return {
    agent: {
      steps: config.MAYFLY_MAX_STEPS,
      costUsd: config.MAYFLY_MAX_COST_USD,
      tokens: config.MAYFLY_MAX_TOKENS,
      commandTimeoutMs: config.MAYFLY_COMMAND_SECONDS * 1000,
      softTimeMs: config.MAYFLY_SOFT_MINUTES * minuteMs,
      hardTimeMs: config.MAYFLY_HARD_MINUTES * minuteMs,
      contextTokens: config.MAYFLY_CONTEXT_TOKENS ?? null,
    },
    patch: { maxFiles: 100, maxBytes: 4 * 2 ** 20 },
    setupTimeoutMs: config.MAYFLY_SETUP_MINUTES * minuteMs,
    proofTimeoutMs: config.MAYFLY_PROOF_MINUTES * minuteMs,
    proofRounds: config.MAYFLY_PROOF_ROUNDS,
    ancestors: 50,
  };
}
