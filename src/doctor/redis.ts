/** The Redis between web and worker: a lost key is a lost or a doubled run, so it must keep what it is given. */
import { readRedisFacts } from '../queue/redis-facts.ts';
import type { RedisFacts } from '../queue/redis-facts.ts';
import { isAtLeast } from '../setup/requirements.ts';
import { notChecked, ok, once, problem, reasonOf, warning } from './check.ts';
import type { Check, Verdict } from './check.ts';

const leastVersion = '6.2';

export function judgeServer({ version }: Pick<RedisFacts, 'version'>, place: string): Verdict {
  if (version === '') return warning(`answers at ${place}, but does not tell its version`, `Check that it is Redis ${leastVersion} or newer`);
  const found = `${version} at ${place}`;
  return isAtLeast(version, leastVersion) ? ok(found) : problem(`${found}; ${leastVersion} or newer is needed`, 'sudo apt-get install redis-server');
}

export function judgePersistence({ appendOnly, snapshots, writesWork }: Pick<RedisFacts, 'appendOnly' | 'snapshots' | 'writesWork'>): Verdict {
  const advice = 'redis-cli CONFIG SET appendonly yes, and `appendonly yes` in redis.conf';
  if (!writesWork) return problem('its last write to disk failed', 'redis-cli INFO persistence; then free some space on its disk');
  if (appendOnly) return ok('every write is kept (AOF)');
  if (snapshots === true) return warning('snapshots only (RDB): a crash loses the runs of the last minutes', advice);
  if (snapshots === false) return problem('nothing is kept: a restart loses every queued run', advice);
  return warning('AOF is off, and whether there are snapshots is not told', advice);
}

export function judgeEviction({ evictionPolicy }: Pick<RedisFacts, 'evictionPolicy'>): Verdict {
  if (evictionPolicy === '') return notChecked('the server does not tell its policy');
  const advice = 'redis-cli CONFIG SET maxmemory-policy noeviction, and `maxmemory-policy noeviction` in redis.conf';
  return evictionPolicy === 'noeviction' ? ok('noeviction') : problem(`${evictionPolicy}: it may throw queued runs away when memory is short`, advice);
}

/** Web and worker sign with the same key what goes through Redis. */
export function judgeJobKey(isSet: boolean, isRedisSet: boolean): Verdict {
  if (isSet) return ok('MAYFLY_JOB_KEY is set');
  const advice = 'MAYFLY_JOB_KEY=$(openssl rand -hex 32), the same for web and worker';
  return isRedisSet ? problem('MAYFLY_JOB_KEY is not set', advice) : notChecked('MAYFLY_JOB_KEY is not set', advice);
}

export function redisChecks(options: { readonly redisUrl: string | null; readonly hasJobKey: boolean }): Check[] {
  const { redisUrl, hasJobKey } = options;
  const read = once((signal) => (redisUrl === null ? Promise.resolve(null) : readRedisFacts(redisUrl, signal)));
  const about = (judge: (facts: RedisFacts) => Verdict) => async (signal: AbortSignal) => {
    const facts = await read(signal).catch(() => null);
    return facts === null ? notChecked('needs Redis') : judge(facts);
  };
  const server = async (signal: AbortSignal): Promise<Verdict> => {
    if (redisUrl === null) return notChecked('REDIS_URL is not set', 'REDIS_URL=redis://127.0.0.1:6379');
    const place = placeOf(redisUrl);
    try {
      const facts = await read(signal);
      return facts === null ? notChecked('REDIS_URL is not set') : judgeServer(facts, place);
    } catch (thrown) {
      return judgeUnreachable(place, reasonOf(thrown));
    }
  };
  return [
    { group: 'redis', name: 'server', look: server },
    { group: 'redis', name: 'persistence', look: about(judgePersistence) },
    { group: 'redis', name: 'eviction', look: about(judgeEviction) },
    { group: 'redis', name: 'job key', look: async () => judgeJobKey(hasJobKey, redisUrl !== null) },
  ];
}

export function judgeUnreachable(place: string, reason: string): Verdict {
  const advice = 'REDIS_URL=redis://user:password@host:6379';
  if (reason.startsWith('NOAUTH')) return problem(`${place} wants a password`, advice);
  if (reason.startsWith('WRONGPASS')) return problem(`${place} does not take the user and password of REDIS_URL`, advice);
  return problem(`${place}: ${reason}`, 'Start Redis, or correct REDIS_URL');
}

/** Without the password. */
function placeOf(redisUrl: string): string {
  return URL.canParse(redisUrl) ? new URL(redisUrl).host : redisUrl;
}
