/** Who may do what: GitHub's answers to a caller without the right, which the emulator gets wrong or never gives. */
import { checkAppJwt } from './tokens.ts';
import { notAccessible, notFound, Refusal, roles, type Caller, type Role, type StoredRepository, type World } from './world.ts';

/** What a route asks for. */
export interface Need {
  /** Permission names, any of which will do for an installation. */
  readonly any: readonly string[];
  readonly level: 'read' | 'write';
  /** What a person needs to have on the repository; nothing on a public one when absent. */
  readonly role?: Role;
}

/** The caller behind an Authorization header; 401 for anything that is not a live token or a valid App JWT. */
export function identify(world: World, header: string | undefined): Caller {
  if (header === undefined) return { kind: 'anonymous' };
  const value = /^(?:bearer|token)\s+(\S+)$/i.exec(header)?.[1] ?? basicPassword(header);
  if (value.startsWith('eyJ')) {
    checkAppJwt(value, world.app, world.now());
    return { kind: 'app' };
  }
  const token = world.tokens.find(value);
  if (!token) throw new Refusal(401, 'Bad credentials');
  return token.login === null ? { kind: 'installation', token } : { kind: 'user', login: token.login, token };
}

/** The password of a Basic header, which is where git puts the token. */
export function basicPassword(header: string): string {
  const encoded = /^basic\s+(\S+)$/i.exec(header)?.[1];
  if (encoded === undefined) return '';
  const text = Buffer.from(encoded, 'base64').toString();
  return text.slice(text.indexOf(':') + 1);
}

/** A person's role; on a public repository everybody may read. */
export function roleOf(repository: StoredRepository, login: string): Role | 'none' {
  return repository.roles.get(login) ?? (repository.private ? 'none' : 'read');
}

export function hasRole(repository: StoredRepository, login: string, least: Role): boolean {
  const role = roleOf(repository, login);
  return role !== 'none' && roles.indexOf(role) >= roles.indexOf(least);
}

/** Throws what GitHub answers when the caller may not. Outside a private repository that is always 404: it does not admit that it exists. */
export function demand(world: World, caller: Caller, repository: StoredRepository, need: Need): void {
  if (caller.kind === 'app') throw new Refusal(401, 'A JSON web token could not be decoded');
  if (caller.kind === 'anonymous') {
    if (repository.private) throw notFound();
    if (need.level === 'write' || need.role) throw new Refusal(401, 'Requires authentication');
    return;
  }
  if (caller.kind === 'user') return demandRole(caller.login, repository, need);
  if (world.suspended) throw new Refusal(403, 'This installation has been suspended');
  if (!covers(world, caller, repository)) {
    if (repository.private) throw notFound();
    if (need.level === 'write') throw notAccessible();
    return;
  }
  if (need.level === 'read' && !repository.private) return;
  if (!need.any.some((name) => granted(caller, name, need.level))) throw notAccessible();
}

function demandRole(login: string, repository: StoredRepository, need: Need): void {
  if (roleOf(repository, login) === 'none') throw notFound();
  if (need.role && !hasRole(repository, login, need.role)) throw new Refusal(403, 'Must have admin rights to Repository.');
}

/** Whether an installation token reaches a repository at all. */
export function covers(world: World, caller: Caller & { kind: 'installation' }, repository: StoredRepository): boolean {
  if (!repository.installed || repository.owner !== world.app.account) return false;
  return caller.token.repositoryIds === null || caller.token.repositoryIds.includes(repository.id);
}

export function granted(caller: Caller, name: string, level: 'read' | 'write'): boolean {
  if (caller.kind === 'user') return true;
  if (caller.kind !== 'installation') return false;
  if (name === 'metadata' && level === 'read') return true;
  const has = caller.token.permissions?.[name];
  return has === 'write' || has === 'admin' || (level === 'read' && has === 'read');
}
