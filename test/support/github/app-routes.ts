/** What an App asks as itself: who it is, where it is installed, tokens, and its webhook deliveries. */
import { accountBody, appBody } from './shapes.ts';
import { covers } from './access.ts';
import { iso, notFound, paginate, Refusal, type Call, type Json, type Reply, type StoredRepository, type World } from './world.ts';
import { deliveryItem, type Webhooks } from './webhooks.ts';

export type BareCall = Omit<Call, 'repository'>;

export async function readApp({ world }: BareCall): Promise<Reply> {
  return { status: 200, body: { ...appBody(world), installations_count: 1 } };
}

function installationBody(world: World): Json {
  const { app, url } = world;
  const account = accountBody(world);
  return {
    id: app.installationId,
    account,
    repository_selection: selection(world),
    access_tokens_url: `${url}/app/installations/${app.installationId}/access_tokens`,
    repositories_url: `${url}/installation/repositories`,
    html_url: `${url}/settings/installations/${app.installationId}`,
    app_id: app.appId,
    app_slug: app.slug,
    target_id: account.id,
    target_type: account.type,
    permissions: app.permissions,
    events: app.events,
    created_at: '2026-01-01T00:00:00Z',
    updated_at: '2026-01-01T00:00:00Z',
    single_file_name: null,
    suspended_by: null,
    suspended_at: world.suspended ? iso(world.now()) : null,
  };
}

const installed = (world: World): StoredRepository[] =>
  [...world.repositories.values()].filter((repository) => repository.installed && repository.owner === world.app.account);
const selection = (world: World): string =>
  [...world.repositories.values()].some(({ owner, installed: has }) => owner === world.app.account && !has) ? 'selected' : 'all';

export async function listInstallations(call: BareCall): Promise<Reply> {
  return paginate([installationBody(call.world)], call as Call);
}

export async function readInstallation({ world, params }: BareCall): Promise<Reply> {
  if (Number(params['installation_id']) !== world.app.installationId) throw notFound();
  return { status: 200, body: installationBody(world) };
}

export async function readRepositoryInstallation({ world, params }: BareCall): Promise<Reply> {
  const repository = world.repositories.get(`${params['owner']}/${params['repo']}`);
  if (!repository || !installed(world).includes(repository)) throw notFound();
  return { status: 200, body: installationBody(world) };
}

/** Of a person or an organization, as GitHub has it. */
export async function readAccountInstallation({ world, params }: BareCall): Promise<Reply> {
  if (params['username']?.toLowerCase() !== world.app.account.toLowerCase()) throw notFound();
  return { status: 200, body: installationBody(world) };
}

const ranks: Readonly<Record<string, number>> = { read: 1, write: 2, admin: 3 };

/** Mints a token: never more than the installation has, and only names on GitHub's closed list. */
export async function mintToken(call: BareCall, permissionNames: ReadonlySet<string>): Promise<Reply> {
  const { world, body } = call;
  if (Number(call.params['installation_id']) !== world.app.installationId) throw notFound();
  if (world.suspended) throw new Refusal(403, 'This installation has been suspended');
  const permissions: Record<string, string> = { ...(body?.permissions ?? world.app.permissions), metadata: 'read' };
  for (const [name, level] of Object.entries(permissions)) {
    if (!permissionNames.has(name)) throw new Refusal(422, `The permission ${name} does not exist.`);
    const most = name === 'metadata' ? 'read' : (world.app.permissions[name] ?? '');
    if ((ranks[level] ?? 9) > (ranks[most] ?? 0)) throw new Refusal(422, 'The permissions requested are not granted to this installation.');
  }
  const repositories = narrow(world, body);
  const row = world.tokens.mint({ permissions, repositoryIds: repositories?.map(({ id }) => id) ?? null });
  const list = repositories && (await Promise.all(repositories.map((repository) => repositoryBody(world, repository))));
  const reply = { token: row.value, expires_at: iso(row.expiresAt), permissions, repository_selection: repositories ? 'selected' : selection(world) };
  return { status: 201, body: { ...reply, ...(list ? { repositories: list } : {}) } };
}

function narrow(world: World, body: Json): StoredRepository[] | null {
  if (body?.repositories === undefined && body?.repository_ids === undefined) return null;
  const all = installed(world);
  const wanted: (StoredRepository | undefined)[] = [
    ...(body.repositories ?? []).map((name: string) => all.find((repository) => repository.name === name)),
    ...(body.repository_ids ?? []).map((id: number) => all.find((repository) => repository.id === id)),
  ];
  const known = wanted.filter((repository) => repository !== undefined);
  if (known.length < wanted.length || known.length === 0) {
    throw new Refusal(422, 'There is at least one repository that does not exist or is not accessible to the parent installation.');
  }
  return known;
}

async function repositoryBody(world: World, repository: StoredRepository): Promise<Json> {
  return (await world.emulator.call('GET', `/repos/${repository.fullName}`, { as: world.emulator.ownerOf(repository.owner) })).body;
}

export async function revokeToken({ caller }: BareCall): Promise<Reply> {
  if (caller.kind !== 'installation') throw new Refusal(403, 'Resource not accessible by personal access token');
  caller.token.revoked = true;
  return { status: 204 };
}

export async function listInstallationRepositories(call: BareCall): Promise<Reply> {
  const { world, caller } = call;
  if (caller.kind !== 'installation')
    throw new Refusal(403, 'You must authenticate with an installation access token in order to list repositories for an installation.');
  const reachable = installed(world).filter((repository) => covers(world, caller, repository));
  const page = paginate(reachable, call as Call);
  const repositories = await Promise.all(page.body.map((repository: StoredRepository) => repositoryBody(world, repository)));
  return { ...page, body: { total_count: reachable.length, repository_selection: caller.token.repositoryIds ? 'selected' : selection(world), repositories } };
}

/** Newest first, a page by cursor, as GitHub lists them. */
export async function listDeliveries(call: BareCall, webhooks: Webhooks): Promise<Reply> {
  const { query, world } = call;
  const cursor = Number(query.get('cursor') ?? Number.POSITIVE_INFINITY);
  const size = Math.min(Number(query.get('per_page') ?? 30), 100);
  const wanted = query.get('status');
  const fits = ({ id, status, statusCode }: Webhooks['deliveries'][number]): boolean =>
    statusCode !== 0 && id < cursor && (wanted === null || (status === 'OK') === (wanted === 'success'));
  const found = webhooks.deliveries.filter(fits).toReversed();
  const page = found.slice(0, size);
  const next = new URL(call.target, world.url);
  next.searchParams.set('cursor', String(page.at(-1)?.id));
  const headers: Record<string, string> = found.length > size ? { link: `<${next.href}>; rel="next"` } : {};
  return { status: 200, headers, body: page.map((delivery) => deliveryItem(delivery, world.app)) };
}

function deliveryOf(call: BareCall, webhooks: Webhooks): Webhooks['deliveries'][number] {
  const found = webhooks.deliveries.find(({ id }) => id === Number(call.params['delivery_id']));
  if (!found) throw notFound();
  return found;
}

export async function readDelivery(call: BareCall, webhooks: Webhooks): Promise<Reply> {
  const delivery = deliveryOf(call, webhooks);
  const request = { headers: delivery.headers, payload: JSON.parse(delivery.rawBody) };
  return { status: 200, body: { ...deliveryItem(delivery, call.world.app), url: webhooks.url, request, response: { headers: {}, payload: null } } };
}

export async function redeliver(call: BareCall, webhooks: Webhooks): Promise<Reply> {
  void webhooks.redeliver(deliveryOf(call, webhooks).id);
  return { status: 202, body: {} };
}

export async function readHookConfig({ world }: BareCall, webhooks: Webhooks): Promise<Reply> {
  return { status: 200, body: { content_type: 'json', insecure_ssl: '0', secret: '********', url: webhooks.url ?? world.url } };
}
