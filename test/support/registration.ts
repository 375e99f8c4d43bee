/** A registration in this process against the stand-in GitHub, in a folder of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FixError } from '../../src/errors.ts';
import { convertManifest } from '../../src/github/app-manifest.ts';
import { createSecrets } from '../../src/log.ts';
import { parseAppFile } from '../../src/registration/manifest.ts';
import { registerApp } from '../../src/registration/register.ts';
import type { Registration, RegistrationOptions } from '../../src/registration/register.ts';
import { openPage, submitForm } from './browser.ts';
import { captureLog } from './capture-log.ts';
import type { CapturedLog } from './capture-log.ts';
import type { StandInGitHub } from './github/stand-in.ts';
import { readText } from './repository.ts';

export const appFile = parseAppFile(await readText('app.yml'));
export const webhook = { url: 'https://mayfly.example.com/hooks/in', path: '/hooks/in' };

export interface Attempt {
  readonly address: string;
  /** May be looked at late. */
  readonly ended: Promise<Registration>;
  readonly strangers: () => number;
  readonly log: CapturedLog;
}

/** Resolves when the page can be opened. */
export async function startRegistration(gitHub: StandInGitHub, change: Partial<RegistrationOptions> & { directory: string }): Promise<Attempt> {
  const opened = Promise.withResolvers<string>();
  const secrets = createSecrets();
  const log = captureLog(secrets);
  let strangers = 0;
  const signal = change.signal ?? new AbortController().signal;
  const ended = registerApp({
    app: appFile,
    name: 'Mayfly of acme',
    organization: null,
    webhook,
    webUrl: gitHub.webUrl,
    settings: { GITHUB_API_URL: gitHub.apiUrl, GITHUB_SERVER_URL: gitHub.webUrl },
    port: 0,
    timeoutMs: 60_000,
    exchange: async (code) => await convertManifest(code, { apiUrl: gitHub.apiUrl, userAgent: 'test', log: log.log, paced: false, secrets, signal }),
    onOpen: ({ address }) => opened.resolve(address),
    onStranger: () => (strangers += 1),
    signal,
    ...change,
  });
  ended.catch(opened.reject);
  return { address: await opened.promise, ended, strangers: () => strangers, log };
}

/** The address that GitHub sends the browser back to, not yet gone to. */
export async function findWayBack(address: string): Promise<string> {
  const theirs = await submitForm(await openPage(address));
  const answer = await submitForm(theirs, { follow: false });
  return answer.headers.get('location') ?? '';
}

export async function finish({ address, ended }: Attempt): Promise<Registration> {
  await openPage(await findWayBack(address));
  return await ended;
}

/** The code of the failure that something ends with. */
export async function failureOf(work: Promise<unknown>): Promise<string | null> {
  return await work.then(() => null).catch((error: unknown) => (error instanceof FixError ? error.code : String(error)));
}

export async function makeFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'registration-'));
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true }) };
}

/** The part of the format that systemd, compose and a shell share. */
export function parseEnvironment(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}
