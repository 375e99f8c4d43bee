/** A person at a browser, as far as forms, links and redirects go. Names and attributes only as our pages and the stand-in write them. */

export interface Page {
  readonly url: string;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

const navigation = { 'sec-fetch-dest': 'document', 'sec-fetch-mode': 'navigate' };

const unescape = (text: string): string =>
  text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

export async function openPage(url: string, init: Omit<RequestInit, 'headers'> = {}): Promise<Page> {
  const response = await fetch(url, { ...init, headers: navigation, signal: AbortSignal.timeout(20_000) });
  return { url: response.url, status: response.status, headers: response.headers, text: await response.text() };
}

/** Presses the button of the one form of a page, and goes where that leads; `follow` false stops at the first answer. */
export async function submitForm(page: Page, { follow = true }: { follow?: boolean } = {}): Promise<Page> {
  const action = unescape(/<form method="post" action="([^"]*)"/.exec(page.text)?.[1] ?? '');
  if (action === '') throw new Error(`no form on ${page.url}: ${page.text.slice(0, 500)}`);
  const target = new URL(action, page.url);
  const policy = page.headers.get('content-security-policy');
  if (policy && !policy.includes(`form-action ${target.origin};`)) throw new Error(`the policy of ${page.url} lets no form go to ${target.origin}`);
  const fields = [...page.text.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)].map(([, name = '', value = '']) => [name, unescape(value)]);
  return await openPage(target.href, { method: 'POST', body: new URLSearchParams(fields), redirect: follow ? 'follow' : 'manual' });
}
