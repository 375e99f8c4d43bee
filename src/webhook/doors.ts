/** One Probot per webhook secret, so that a secret can be changed without losing a delivery. None holds an App key. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Probot } from 'probot';
import { FixError } from '../errors.ts';
import { createApp } from './app.ts';
import type { AppOptions, RequestFacts } from './app.ts';

const minSecretLength = 16;

/** Answers one request whose whole body is known. */
export type Door = (request: IncomingMessage & { body?: string }, response: ServerResponse, facts: RequestFacts) => Promise<unknown>;

export interface Doors {
  /** The door whose secret signed this text; null when none did. */
  find(text: string, signature: string): Promise<Door | null>;
}

/** Throws `config_invalid` for a secret that is missing or too short; there is no default. */
export async function createDoors(secrets: readonly string[], path: string, app: AppOptions): Promise<Doors> {
  if (secrets.length === 0 || secrets.some((secret) => secret.length < minSecretLength)) {
    throw new FixError('config_invalid', { details: { problems: [`WEBHOOK_SECRET needs at least ${minSecretLength} characters`] } });
  }
  const doors = await Promise.all(secrets.map((secret) => createDoor(secret, path, app)));
  return {
    async find(text, signature) {
      // Octokit throws on these instead of saying no.
      if (text === '' || signature === '') return null;
      for (const { probot, door } of doors) {
        if (await probot.webhooks.verify(text, signature)) return door;
      }
      return null;
    },
  };
}

async function createDoor(secret: string, path: string, app: AppOptions): Promise<{ probot: Probot; door: Door }> {
  const requestFacts = new AsyncLocalStorage<RequestFacts>();
  const probot = new Probot({
    secret,
    // Probot wants an App key or a token. This is neither: there is nothing that it could mint or send.
    githubToken: 'this-process-holds-no-token',
    request: { fetch: refuseToCall },
    // Probot and Octokit log whole errors, and theirs carry the payload. What matters is logged by us.
    log: app.log.child({}, { level: 'silent' }),
  });
  await probot.ready();
  await probot.load(createApp(app, requestFacts));
  const middleware = await probot.getNodeMiddleware({ path });
  return { probot, door: (request, response, facts) => requestFacts.run(facts, () => middleware(request, response)) };
}

function refuseToCall(): never {
  throw new Error('the web process calls nobody');
}
