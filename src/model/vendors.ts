/** The vendors we can ask, one row each. Every address is given by us: the SDK would otherwise read it from the environment. */
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogle } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import type { LanguageModel } from 'ai';
import { FixError } from '../errors.ts';

interface Access {
  readonly baseURL: string;
  readonly apiKey: string;
  readonly fetch: typeof fetch;
}

interface Vendor {
  /** The vendor's own address; null when the operator has to give one. */
  readonly home: string | null;
  /** The path that the SDK expects at the end of the address. */
  readonly version: string;
  /** Whether an address with another path gets the version too (`ANTHROPIC_BASE_URL` has none by convention), or only a bare origin. */
  readonly versionAfterPath: boolean;
  /** How a key is shown in a request of our own. */
  authorize(apiKey: string): Readonly<Record<string, string>>;
  open(access: Access, id: string): LanguageModel;
}

const bearer = (apiKey: string) => ({ authorization: `Bearer ${apiKey}` });

const vendors: Readonly<Record<string, Vendor>> = {
  anthropic: {
    home: 'https://api.anthropic.com',
    version: '/v1',
    versionAfterPath: true,
    authorize: (apiKey) => ({ 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' }),
    open: (access, id) => createAnthropic(access)(id),
  },
  openai: { home: 'https://api.openai.com', version: '/v1', versionAfterPath: false, authorize: bearer, open: openOpenAI },
  google: {
    home: 'https://generativelanguage.googleapis.com',
    version: '/v1beta',
    versionAfterPath: false,
    authorize: (apiKey) => ({ 'x-goog-api-key': apiKey }),
    open: (access, id) => createGoogle(access)(id),
  },
  compatible: {
    home: null,
    version: '/v1',
    versionAfterPath: false,
    authorize: bearer,
    open: (access, id) => createOpenAICompatible({ ...access, name: 'compatible', includeUsage: true })(id),
  },
};

/** OpenAI's newest models think between tool calls over the Responses API only; whatever imitates OpenAI speaks Chat Completions. */
function openOpenAI(access: Access, id: string): LanguageModel {
  const openai = createOpenAI(access);
  return new URL(access.baseURL).hostname === 'api.openai.com' ? openai.responses(id) : openai.chat(id);
}

/** `vendor/name` as its two halves. Throws `model_unknown`. */
export function parseModelName(name: string): { vendor: string; id: string } {
  const [, vendor, id] = /^([a-z]+)\/(\S{1,200})$/.exec(name) ?? [];
  if (vendor === undefined || id === undefined || !Object.hasOwn(vendors, vendor)) {
    throw new FixError('model_unknown', { details: { name: name.slice(0, 200), vendors: Object.keys(vendors) } });
  }
  return { vendor, id };
}

/** The SDK's model for `vendor/name`. Throws `model_unknown`, or `config_invalid` for an address that is missing or no URL. */
export function openLanguageModel(name: string, options: { apiKey: string; baseUrl: string | null; fetch: typeof fetch }): LanguageModel {
  const { row, id, baseURL } = findVendor(name, options.baseUrl);
  return row.open({ baseURL, apiKey: options.apiKey, fetch: options.fetch }, id);
}

/** Where the vendor tells of one model, and the headers that it wants: costs nothing to ask. Throws as `openLanguageModel`. */
export function describeModel(name: string, options: { apiKey: string; baseUrl: string | null }): { url: string; headers: Readonly<Record<string, string>> } {
  const { row, id, baseURL } = findVendor(name, options.baseUrl);
  return { url: `${baseURL}/models/${id.split('/').map(encodeURIComponent).join('/')}`, headers: row.authorize(options.apiKey) };
}

function findVendor(name: string, baseUrl: string | null): { row: Vendor; id: string; baseURL: string } {
  const { vendor, id } = parseModelName(name);
  const row = vendors[vendor];
  const address = baseUrl ?? row?.home;
  if (row === undefined || address === undefined || address === null) {
    throw new FixError('config_invalid', { details: { model: name, problem: 'this vendor needs a base URL' } });
  }
  return { row, id, baseURL: withVersion(address, row) };
}

function withVersion(address: string, row: Pick<Vendor, 'version' | 'versionAfterPath'>): string {
  if (!URL.canParse(address)) throw new FixError('config_invalid', { details: { problem: 'the base URL of the model is no URL' } });
  const trimmed = address.replace(/\/+$/, '');
  const bare = new URL(trimmed).pathname === '/';
  const versioned = /\/v\d+(?:beta\d*)?$/.test(trimmed);
  return bare || (row.versionAfterPath && !versioned) ? `${trimmed}${row.version}` : trimmed;
}
