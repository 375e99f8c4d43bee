/** The models: whether their vendors take the keys and know the names, and what is known of prices. Asking for a model's entry costs nothing. */
import { describeModel, parseModelName } from '../model/vendors.ts';
import type { KnownPrice } from '../model/prices.ts';
import { notChecked, ok, problem, reasonOf, warning } from './check.ts';
import type { Check, Verdict } from './check.ts';

/** Where a model is named, and what the look at it is called. */
const settings = { MAYFLY_MODEL: 'key', MAYFLY_MODELS: 'choice', MAYFLY_FALLBACK_MODEL: 'fallback' } as const;

export interface ModelOptions {
  readonly setting: keyof typeof settings;
  /** `vendor/name`; null when no model is configured. */
  readonly name: string | null;
  /** Of that vendor. */
  readonly apiKey: string | null;
  readonly keyName: string;
  readonly baseUrl: string | null;
  readonly fetch: typeof fetch;
}

/** `isVendor`: asked was the vendor itself, and not another server that speaks like it. */
export function judgeAnswer(status: number, asked: { setting: string; name: string; keyName: string; host: string; isVendor: boolean }): Verdict {
  const { setting, name, keyName, host } = asked;
  if (status >= 200 && status < 300) return ok(`${host} knows ${name} and takes ${keyName}`);
  if (status === 401 || status === 403) return problem(`${host} does not take ${keyName}`, `${keyName}=a key that is valid there`);
  if (status === 404 && asked.isVendor) return problem(`${host} does not know ${name}`, `${setting}=vendor/name of a model that your key may use`);
  if (status === 404 || status === 405 || status === 501) return notChecked(`${host} answers, but does not tell of its models`);
  return warning(`${host} answered ${status}`, null);
}

/** Without a price no limit of money holds, only those of tokens. */
export function judgePrices(models: readonly { name: string; price: Pick<KnownPrice, 'source'> | null }[]): Verdict {
  const unknown = models.filter(({ price }) => price === null).map(({ name }) => name);
  if (models.length === 0) return notChecked('no model is set');
  if (unknown.length === 0) return ok(models.map(({ name, price }) => `${name}: ${price?.source}`).join('; '));
  const advice = `MAYFLY_MODEL_PRICES="${unknown.map((name) => `${name}=INPUT:OUTPUT`).join(' ')}", in USD per million tokens`;
  return warning(`not known: ${unknown.join(', ')}; only tokens are limited there`, advice);
}

export function priceCheck(models: Parameters<typeof judgePrices>[0]): Check {
  return { group: 'model', name: 'prices', look: async () => judgePrices(models) };
}

export function modelCheck(options: ModelOptions): Check {
  const look = async (signal: AbortSignal): Promise<Verdict> => {
    const { setting, name, apiKey, keyName, baseUrl } = options;
    if (name === null) return notChecked(`${setting} is not set`, 'MAYFLY_MODEL=anthropic/claude-sonnet-4-5, and ANTHROPIC_API_KEY');
    try {
      parseModelName(name);
      if (apiKey === null) return problem(`${keyName} is not set`, `${keyName}=your key`);
      const { url, headers } = describeModel(name, { apiKey, baseUrl });
      return await ask(url, { ...options, name, headers, signal });
    } catch (thrown) {
      return problem(`${name}: ${reasonOf(thrown)}`, `${setting}=vendor/name, for example anthropic/claude-sonnet-4-5`);
    }
  };
  return { group: 'model', name: settings[options.setting], look };
}

async function ask(url: string, options: ModelOptions & { name: string; headers: Readonly<Record<string, string>>; signal: AbortSignal }): Promise<Verdict> {
  const { host } = new URL(url);
  try {
    const answer = await options.fetch(url, { headers: options.headers, redirect: 'manual', signal: options.signal });
    await answer.body?.cancel();
    const { setting, name, keyName, baseUrl } = options;
    return judgeAnswer(answer.status, { setting, name, keyName, host, isVendor: baseUrl === null });
  } catch (thrown) {
    return problem(`${host} does not answer: ${reasonOf(thrown)}`, 'Check the network, HTTPS_PROXY, and the address of the model');
  }
}
