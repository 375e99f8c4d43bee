/** What the doctor says about real Redis servers, as they come. */
import { describe, expect, test } from 'vitest';
import { redisChecks } from '../../src/doctor/redis.ts';
import { takeLooks } from '../support/findings.ts';
import { redisIsMissing, startRedis } from '../support/redis.ts';

const look = (redisUrl: string | null, deadlineMs?: number) => takeLooks(redisChecks({ redisUrl, hasJobKey: true }), deadlineMs);

describe.skipIf(redisIsMissing())('the doctor and Redis', () => {
  test('has nothing to say about one that keeps every write and evicts nothing', async () => {
    const redis = await startRedis();
    const found = await look(redis.url);
    await redis.stop();

    expect(found['server']).toMatchObject({ status: 'ok', found: expect.stringMatching(/^\d+\.\d+\.\d+ at \//) as string });
    expect(found['persistence']).toMatchObject({ status: 'ok', found: 'every write is kept (AOF)' });
    expect(found['eviction']).toMatchObject({ status: 'ok', found: 'noeviction' });
  });

  test('warns of one that keeps snapshots only', async () => {
    const redis = await startRedis({ appendonly: 'no', save: '3600 1' });
    const found = await look(redis.url);
    await redis.stop();

    expect(found['persistence']).toMatchObject({ status: 'warning', advice: expect.stringContaining('CONFIG SET appendonly yes') as string });
  });

  test('refuses one that keeps nothing, and one that evicts', async () => {
    const redis = await startRedis({ appendonly: 'no', 'maxmemory-policy': 'allkeys-lru' });
    const found = await look(redis.url);
    await redis.stop();

    expect(found['persistence']).toMatchObject({ status: 'problem' });
    expect(found['eviction']).toMatchObject({ status: 'problem', advice: expect.stringContaining('CONFIG SET maxmemory-policy noeviction') as string });
  });

  test('says once that one is not there', async () => {
    const found = await look('redis://:a-password@127.0.0.1:1');

    expect(found['server']).toMatchObject({ status: 'problem', found: '127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1' });
    expect(found['persistence']).toMatchObject({ status: 'not_checked', found: 'needs Redis' });
    expect(JSON.stringify(found)).not.toContain('a-password');
  });

  test('does not wait for one that hangs', async () => {
    const redis = await startRedis();
    redis.freeze();
    const found = await look(redis.url, 200);
    redis.thaw();
    await redis.stop();

    expect(found['server']).toMatchObject({ status: 'not_checked', found: 'no answer within 0.2 s' });
  });

  test('says that none is configured', async () => {
    expect(await look(null)).toMatchObject({ server: { status: 'not_checked', found: 'REDIS_URL is not set' } });
  });
});
