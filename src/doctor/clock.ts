/** This host's clock against GitHub's, which is in the Date header of every answer, also of a refusal. */
import { notChecked, ok, problem, reasonOf, warning } from './check.ts';
import type { Check, Verdict } from './check.ts';

/** GitHub refuses a JWT from the future; ours are issued 60 s back (https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app). */
const mostSeconds = 60;
const niceSeconds = 10;

/** `aheadSeconds`: how far this host is ahead of GitHub; negative when it is behind. */
export function judgeClock(aheadSeconds: number): Verdict {
  const off = Math.abs(aheadSeconds);
  if (off <= niceSeconds) return ok('agrees with GitHub');
  const found = `${off} s ${aheadSeconds > 0 ? 'ahead of' : 'behind'} GitHub`;
  return off > mostSeconds ? problem(`${found}: it refuses the App at times, and certificates may fail`, advice) : warning(found, advice);
}

const advice = 'sudo timedatectl set-ntp true';

export function clockCheck(options: { readonly apiUrl: string; readonly fetch: typeof fetch; readonly now?: () => number }): Check {
  const now = options.now ?? Date.now;
  const look = async (signal: AbortSignal): Promise<Verdict> => {
    const host = new URL(options.apiUrl).host;
    const sentMs = now();
    try {
      // Nobody asks, so GitHub says 401, with the time.
      const answer = await options.fetch(`${options.apiUrl}/app`, { headers: { 'user-agent': 'mayfly' }, signal });
      await answer.body?.cancel();
      const theirsMs = Date.parse(answer.headers.get('date') ?? '');
      if (Number.isNaN(theirsMs)) return notChecked(`${host} does not say what time it is`);
      return judgeClock(Math.round(((sentMs + now()) / 2 - theirsMs) / 1000));
    } catch (thrown) {
      return notChecked(`${host} does not answer: ${reasonOf(thrown)}`);
    }
  };
  return { group: 'host', name: 'clock', look };
}
