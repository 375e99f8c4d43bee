/**
 * A GitHub for tests and the demo. Issues, labels, comments and the state of pull requests live in vercel-labs'
 * emulator; git is real git over one bare repository per project; tokens, permissions, webhooks and everything else
 * the emulator lacks or is too lenient in is ours, in front of it. README.md beside this file says what is not GitHub.
 */
import { generateKeyPair, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startEmulator } from './emulator.ts';
import { createFaults, type Fault, type Faults } from './faults.ts';
import { createFront, type FrontParts, type RecordedRequest } from './front.ts';
import { loadDescription } from './openapi.ts';
import { createRateLimits } from './rate-limits.ts';
import { createRegistrations, type Registrations } from './registrations.ts';
import { createRepositoryHandle, type StandInRepository } from './repository.ts';
import { createRoutes } from './routes.ts';
import { seedRepository, type SeedRepository } from './seed.ts';
import { createTokenTable, type TokenFormat } from './tokens.ts';
import { createWebhooks, type Webhooks } from './webhooks.ts';
import { iso, type StandInApp, type World } from './world.ts';

export interface StandInOptions {
  /** Everybody who acts. Default ada, bob and mallory. */
  readonly users?: readonly string[];
  /** Default acme; each has an owner called `<name>-owner`. */
  readonly organizations?: readonly string[];
  /** Where the App is installed. Default the first organization. */
  readonly account?: string;
  readonly slug?: string;
  /** What the App was granted. Default what Mayfly asks for. */
  readonly permissions?: Readonly<Record<string, string>>;
  readonly events?: readonly string[];
  /** Where deliveries go; may be set later as `webhooks.url`. */
  readonly webhookUrl?: string;
  readonly webhookTimeoutMs?: number;
  /** Default `jwt`: the new, long tokens. */
  readonly tokenFormat?: TokenFormat;
  /** False: a plan without draft pull requests. */
  readonly drafts?: boolean;
  readonly rateLimit?: number;
  readonly now?: () => number;
}

/** One minted token, without its value. */
export interface TokenView {
  readonly id: string;
  /** Full names, or `all`. */
  readonly repositories: readonly string[] | 'all';
  readonly permissions: Readonly<Record<string, string>>;
  readonly expiresAt: string;
  readonly revoked: boolean;
}

export interface StandInGitHub extends AsyncDisposable {
  readonly app: StandInApp;
  readonly apiUrl: string;
  readonly webUrl: string;
  readonly webhooks: Webhooks;
  readonly faults: Faults;
  /** Manifests that were posted, and what is wrong with them. */
  readonly registrations: Registrations;
  /** Every request that came in, in order of its answer. */
  readonly requests: readonly RecordedRequest[];
  /** What did not fit GitHub's description, or is not stood in for. A test of ours ends with this empty. */
  readonly violations: readonly string[];
  /** Installation tokens that were minted. */
  readonly tokens: readonly TokenView[];
  /** Their values, for who looks for them where they must not be. */
  secretTokens(): readonly string[];
  seedRepository(seed: SeedRepository): Promise<StandInRepository>;
  /** A person's own token, for a client that acts as them. */
  userToken(login: string): string;
  fault(fault: Fault): void;
  /** The owner of the account suspends the App, or lets it work again. */
  suspend(suspended: boolean): void;
  close(): Promise<void>;
}

const mayflyPermissions = { contents: 'write', issues: 'write', pull_requests: 'write', checks: 'write', actions: 'read', metadata: 'read' };

export async function createStandInGitHub(options: StandInOptions = {}): Promise<StandInGitHub> {
  const now = options.now ?? Date.now;
  const app = await createApp(options);
  const directory = await mkdtemp(join(tmpdir(), 'stand-in-github-'));
  let parts: FrontParts | null = null;
  const server = createFront(() => parts ?? failEarly());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const emulator = await startEmulator({
    app,
    users: options.users ?? ['ada', 'bob', 'mallory'],
    organizations: options.organizations ?? ['acme'],
    publicUrl: url,
  });
  let lastId = 3000;
  const world: World = {
    app,
    url,
    emulator,
    tokens: createTokenTable({ appId: app.appId, format: options.tokenFormat ?? 'jwt', now }),
    repositories: new Map(),
    archives: new Map(),
    logs: new Map(),
    drafts: options.drafts ?? true,
    suspended: false,
    now,
    nextId: () => (lastId += 7),
  };
  const webhooks = createWebhooks({ app, url: options.webhookUrl ?? null, timeoutMs: options.webhookTimeoutMs ?? 10_000, now });
  const description = await loadDescription();
  const rateLimits = createRateLimits({ limit: options.rateLimit ?? 5000, now });
  const registrations = createRegistrations({ world, webhooks, permissionNames: description.permissionNames });
  const routes = createRoutes({ webhooks, rateLimits, registrations, permissionNames: description.permissionNames });
  parts = { world, description, routes, faults: createFaults(), webhooks, rateLimits, registrations, requests: [], violations: [] };
  const close = async (): Promise<void> => {
    await webhooks.close();
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
    await emulator.close();
    await rm(directory, { recursive: true, force: true });
  };
  const seed = async (wish: SeedRepository): Promise<StandInRepository> =>
    createRepositoryHandle(world, await seedRepository(world, directory, wish), webhooks);
  return Object.assign(face(world, parts), { seedRepository: seed, close, [Symbol.asyncDispose]: close });
}

function failEarly(): never {
  throw new Error('the stand-in is not ready yet');
}

type Face = Omit<StandInGitHub, 'seedRepository' | 'close' | typeof Symbol.asyncDispose>;

function face(world: World, { webhooks, faults, registrations, requests, violations }: FrontParts): Face {
  return {
    app: world.app,
    apiUrl: world.url,
    webUrl: world.url,
    webhooks,
    faults,
    registrations,
    requests,
    violations,
    get tokens() {
      return viewTokens(world);
    },
    secretTokens: () => world.tokens.rows.filter(({ login }) => login === null).map(({ value }) => value),
    userToken: (login) => world.tokens.user(login).value,
    fault: (fault) => faults.add(fault),
    suspend(suspended) {
      world.suspended = suspended;
    },
  };
}

function viewTokens(world: World): TokenView[] {
  const nameOf = (id: number): string => [...world.repositories.values()].find((repository) => repository.id === id)?.fullName ?? String(id);
  return world.tokens.rows
    .filter(({ login }) => login === null)
    .map(({ id, repositoryIds, permissions, expiresAt, revoked }) => ({
      id,
      repositories: repositoryIds?.map(nameOf) ?? 'all',
      permissions: permissions ?? {},
      expiresAt: iso(expiresAt),
      revoked,
    }));
}

let making: Promise<string> | null = null;

/** One key in a process, and new in each: to make it takes longer than most of what is tested with it. */
const makeKey = (): Promise<string> =>
  (making ??= promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  }).then(({ privateKey }) => privateKey));

async function createApp(options: StandInOptions): Promise<StandInApp> {
  return {
    appId: 314_159,
    privateKey: await makeKey(),
    webhookSecret: randomBytes(20).toString('hex'),
    installationId: 27_182_818,
    slug: options.slug ?? 'mayfly',
    account: options.account ?? options.organizations?.[0] ?? 'acme',
    permissions: options.permissions ?? mayflyPermissions,
    events: options.events ?? ['issues', 'issue_comment', 'pull_request', 'pull_request_review', 'pull_request_review_comment', 'check_suite', 'push'],
  };
}
