/** The address that GitHub posts to, as the operator gives it: checked here, because GitHub says only later and in other words. */
import { FixError } from '../errors.ts';

export interface WebhookAddress {
  /** What goes into the App, to the letter. */
  readonly url: string;
  /** What the web role has to listen on: WEBHOOK_PATH. */
  readonly path: string;
}

/**
 * An address without a path gets `defaultPath`. `isPublicGitHub`: github.com delivers to public addresses only.
 * Throws `usage` with the reason.
 */
export function readWebhookAddress(given: string, { defaultPath, isPublicGitHub }: { defaultPath: string; isPublicGitHub: boolean }): WebhookAddress {
  const url = URL.parse(given);
  if (url === null) throw refuse('it is no address such as https://mayfly.example.com');
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback)) throw refuse('it has to begin with https://');
  if (isLoopback && isPublicGitHub) throw refuse('github.com delivers to public addresses only; for development there is --dev-proxy');
  if (url.username !== '' || url.password !== '') throw refuse('it may hold no user name and no password');
  if (url.search !== '' || url.hash !== '') throw refuse('it may hold no ? and no #');
  // The web role compares the path as it came, so it must be one that nothing on the way writes in another form.
  if (!/^\/[\w./-]*$/.test(url.pathname)) throw refuse('its path may hold letters, digits and . _ - / only');
  if (url.pathname === '/') url.pathname = defaultPath;
  return { url: url.href, path: url.pathname };
}

function refuse(why: string): FixError {
  return new FixError('usage', { details: { reason: `--webhook-url: ${why}` } });
}
