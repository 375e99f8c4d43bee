/** Deliveries of webhooks that never reached us: GitHub keeps them for three days and sends none again by itself. */
import type { Octokit } from '@octokit/rest';
import { z } from 'zod';
import { FixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { answerOf, asGitHubError } from './failure.ts';

const Delivery = z.object({
  // Beyond what a number holds exactly.
  id: z.union([z.number(), z.bigint()]).transform(String),
  guid: z.string().max(100),
  delivered_at: z.string(),
  status_code: z.number(),
});

/** 10,000 deliveries in one look. */
const maxPages = 100;
/** After that many attempts, the fault is not in the delivery. */
const maxAttempts = 10;

/** Asks once for each delivery that no attempt succeeded for. Returns how many were asked for. */
export async function redeliverFailed(octokit: Octokit, since: Date, log: Log): Promise<number> {
  const attempts = await listAttempts(octokit, since);
  let asked = 0;
  for (const [guid, tried] of attempts) {
    const [newest] = tried;
    if (!newest || tried.length >= maxAttempts || tried.some(({ status_code: status }) => status >= 200 && status < 300)) continue;
    try {
      await octokit.request('POST /app/hook/deliveries/{delivery_id}/attempts', { delivery_id: newest.id as unknown as number });
      asked += 1;
    } catch (error) {
      // One that GitHub does not have any more must not keep the others from being sent.
      if (answerOf(error) === null) throw error;
      log.warn({ err: asGitHubError(error), deliveryId: guid }, 'delivery could not be asked for again');
    }
  }
  return asked;
}

/** By GUID, which all attempts of one delivery share; the newest first, as GitHub lists them. */
async function listAttempts(octokit: Octokit, since: Date): Promise<ReadonlyMap<string, readonly z.infer<typeof Delivery>[]>> {
  const found: z.infer<typeof Delivery>[] = [];
  let pages = 0;
  for await (const { data } of octokit.paginate.iterator(octokit.rest.apps.listWebhookDeliveries, { per_page: 100 })) {
    const parsed = z.array(Delivery).safeParse(data);
    if (!parsed.success) throw new FixError('github_unavailable', { cause: parsed.error });
    const recent = parsed.data.filter((delivery) => Date.parse(delivery.delivered_at) >= since.getTime());
    found.push(...recent);
    if (recent.length < parsed.data.length || ++pages === maxPages) break;
  }
  return Map.groupBy(found, ({ guid }) => guid);
}
