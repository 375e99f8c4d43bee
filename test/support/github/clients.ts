/** Octokit clients against the stand-in, as the App, as one of its installation tokens, or as a person. */
import { Octokit } from '@octokit/rest';
import githubAppJwt from 'universal-github-app-jwt';
import type { StandInGitHub } from './stand-in.ts';
import { Refusal } from './world.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** Without a token it is nobody. */
export function createClient(standIn: StandInGitHub, token?: string): Octokit {
  return new Octokit({ baseUrl: standIn.apiUrl, log: quiet, ...(token === undefined ? {} : { auth: token }) });
}

export async function createAppClient(standIn: StandInGitHub): Promise<Octokit> {
  const { token } = await githubAppJwt({ id: standIn.app.appId, privateKey: standIn.app.privateKey });
  return createClient(standIn, token);
}

export interface Grant {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly repositoryIds?: readonly number[];
}

/** A fresh installation token. */
export async function mintToken(standIn: StandInGitHub, grant: Grant = {}): Promise<string> {
  const app = await createAppClient(standIn);
  const { data } = await app.request('POST /app/installations/{installation_id}/access_tokens', {
    installation_id: standIn.app.installationId,
    ...(grant.permissions ? { permissions: grant.permissions } : {}),
    ...(grant.repositoryIds ? { repository_ids: [...grant.repositoryIds] } : {}),
  });
  return data.token;
}

export async function createBotClient(standIn: StandInGitHub, grant: Grant = {}): Promise<Octokit> {
  return createClient(standIn, await mintToken(standIn, grant));
}

export function createUserClient(standIn: StandInGitHub, login: string): Octokit {
  return createClient(standIn, standIn.userToken(login));
}

/** What a refused request was refused with. */
export async function refusal(request: Promise<unknown>): Promise<{ status: number; message: string; errors: unknown }> {
  try {
    await request;
  } catch (error) {
    if (error instanceof Refusal) return { status: error.reply.status, message: error.message, errors: undefined };
    const { status, response } = error as { status: number; response?: { data?: { message?: string; errors?: unknown } } };
    return { status, message: response?.data?.message ?? '', errors: response?.data?.errors };
  }
  throw new Error('it was not refused');
}

/** For `afterEach`: a request that does not fit GitHub's description fails the test that sent it. */
export function failOnViolations({ violations }: StandInGitHub): void {
  if (violations.length > 0) throw new Error(`not what GitHub takes:\n${violations.join('\n')}`);
}
