/** Collaborators and what they may: GitHub tells `read` or `none` of a stranger where the emulator says 404. */
import { roleOf } from './access.ts';
import { forward } from './issues.ts';
import { invalid, notFound, Refusal, type Call, type Reply, type Role } from './world.ts';

/** GitHub's four legacy words for its five roles. */
const legacy: Readonly<Record<Role | 'none', string>> = { admin: 'admin', maintain: 'write', write: 'write', triage: 'read', read: 'read', none: 'none' };

export async function readPermission(call: Call): Promise<Reply> {
  const { world, repository, params } = call;
  const login = params['username'] ?? '';
  // `gh: dependabot[bot] is not a user (HTTP 404)`
  if (login.endsWith('[bot]')) throw new Refusal(404, `${login} is not a user`);
  const user = await world.emulator.call('GET', `/users/${encodeURIComponent(login)}`, { as: world.emulator.ownerOf(repository.owner) });
  if (user.status !== 200) throw notFound();
  const role = roleOf(repository, login);
  return { status: 200, body: { permission: legacy[role], role_name: role, user: user.body } };
}

const grantWords: Readonly<Record<string, Role>> = { pull: 'read', triage: 'triage', push: 'write', maintain: 'maintain', admin: 'admin' };

export async function setCollaborator(call: Call): Promise<Reply> {
  const role = grantWords[call.body?.permission ?? 'push'];
  if (!role) throw invalid('Repository', { field: 'permission', code: 'invalid' });
  const reply = await forward(call);
  if (reply.status < 300) call.repository.roles.set(call.params['username'] ?? '', role);
  // 204: here everybody accepts an invitation at once.
  return reply.status < 300 ? { status: 204 } : reply;
}

export async function removeCollaborator(call: Call): Promise<Reply> {
  const reply = await forward(call);
  if (reply.status < 300) call.repository.roles.delete(call.params['username'] ?? '');
  return reply;
}
