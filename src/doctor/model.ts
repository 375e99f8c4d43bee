/** The model: whether its vendor takes the key and knows the name. Asking for a model's entry costs nothing. */
import { describeModel, parseModelName } from '../model/vendors.ts';
import { notChecked, ok, problem, reasonOf, warning } from './check.ts';
import type { Check, Verdict } from './check.ts';

export interface ModelOptions {
  /** `vendor/name`; null when no model is configured. */
  readonly name: string | null;
  /** Of that vendor. */
  readonly apiKey: string | null;
  readonly keyName: string;
  readonly baseUrl: string | null;
  readonly fetch: typeof fetch;
}

/** `isVendor`: asked was the vendor itself, and not another server that speaks like it. */
export function judgeAnswer(status: number, asked: { name: string; keyName: string; host: string; isVendor: boolean }): Verdict {
  const { name, keyName, host } = asked;
  if (status >= 200 && status < 300) return ok(`${host} knows ${name} and takes ${keyName}`);
  if (status === 401 || status === 403) return problem(`${host} does not take ${keyName}`, `${keyName}=a key that is valid there`);
  if (status === 404 && asked.isVendor) return problem(`${host} does not know ${name}`, 'MAYFLY_MODEL=vendor/name of a model that your key may use');
  if (status === 404 || status === 405 || status === 501) return notChecked(`${host} answers, but does not tell of its models`);
  return warning(`${host} answered ${status}`, null);
}

export function modelCheck(options: ModelOptions): Check {
  const look = async (signal: AbortSignal): Promise<Verdict> => {
    const { name, apiKey, keyName, baseUrl } = options;
    if (name === null) return notChecked('MAYFLY_MODEL is not set', 'MAYFLY_MODEL=anthropic/claude-sonnet-4-5, and ANTHROPIC_API_KEY');
    try {
      parseModelName(name);
      if (apiKey === null) return problem(`${keyName} is not set`, `${keyName}=your key`);
      const { url, headers } = describeModel(name, { apiKey, baseUrl });
      return await ask(url, { ...options, name, headers, signal });
    } catch (thrown) {
      return problem(`${name}: ${reasonOf(thrown)}`, 'MAYFLY_MODEL=vendor/name, for example anthropic/claude-sonnet-4-5');
    }
  };
  return { group: 'model', name: 'key', look };
}

async function ask(url: string, options: ModelOptions & { name: string; headers: Readonly<Record<string, string>>; signal: AbortSignal }): Promise<Verdict> {
  const { host } = new URL(url);
  try {
    const answer = await options.fetch(url, { headers: options.headers, redirect: 'manual', signal: options.signal });
    await answer.body?.cancel();
    return judgeAnswer(answer.status, { name: options.name, keyName: options.keyName, host, isVendor: options.baseUrl === null });
  } catch (thrown) {
    return problem(`${host} does not answer: ${reasonOf(thrown)}`, 'Check the network, HTTPS_PROXY, and the address of the model');
  }
}
