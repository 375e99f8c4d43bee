/** The web image as an operator gets it: built from the Dockerfile without a daemon, started, asked how it is. */
import { chmod } from 'node:fs/promises';
import { dirname } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { createImageBuilder, lacksForImages } from '../support/image-builder.ts';
import type { BuiltImage, ImageBuilder } from '../support/image-builder.ts';
import { startContainer } from '../support/oci-container.ts';
import { startRedis } from '../support/redis.ts';
import type { RedisServer } from '../support/redis.ts';
import { jobKey, webhookSecret } from '../support/web-role.ts';

const isRoot = process.getuid?.() === 0;
const lacks = [...(await lacksForImages()), ...(isRoot ? [] : ['root'])];
// .ci/run brings these tools, so that there a missing one is a failure.
const isSkipped = lacks.length > 0 && process.env['CI'] === undefined;
if (isSkipped) console.warn(`SKIPPED: images are built with ${lacks.join(', ')}, which this machine lacks.`);

const planted = 'planted-token-of-a-registry';

describe.skipIf(isSkipped)('the web image', () => {
  let builder: ImageBuilder;
  let image: BuiltImage;
  let redis: RedisServer;

  beforeAll(async () => {
    [builder, redis] = await Promise.all([createImageBuilder(loadConfig('tool').MAYFLY_CACHE_DIR), startRedis()]);
    image = await builder.build('web', `//registry.example/:_authToken=${planted}\n`);
    // The image's user is not the one of the tests.
    await chmod(dirname(redis.url), 0o711);
    await chmod(redis.url, 0o777);
  }, 240_000);

  afterAll(async () => {
    await redis?.stop();
    await builder?.[Symbol.asyncDispose]();
  });

  const start = () =>
    startContainer({
      image,
      environment: { REDIS_URL: '/queue/redis.sock', WEBHOOK_SECRET: webhookSecret, MAYFLY_JOB_KEY: jobKey },
      folders: { '/queue': dirname(redis.url) },
    });

  test('runs as a plain user on read-only files, says that it is well, and ends cleanly', async () => {
    await using web = await start();

    await expect.poll(async () => (await web.exec(...image.healthCheck)).exitCode, { timeout: 30_000, interval: 500 }).toBe(0);

    expect(await web.exec('id', '-u')).toMatchObject({ text: '10001' });
    expect((await web.exec('grep', '-c', '^Cap.*0000000000000000$', '/proc/1/status')).text).toBe('5');
    expect((await web.exec('grep', '-E', ' / [a-z]+ ro,', '/proc/mounts')).exitCode).toBe(0);
    expect(await web.stop()).toMatchObject({ exitCode: 0 });
  });

  test('is not well when Redis is away, and says which of the two it is', async () => {
    await redis.kill();
    await using web = await start();

    await expect.poll(async () => (await web.exec(...image.healthCheck)).exitCode, { timeout: 30_000, interval: 500 }).toBe(4);

    await redis.restart();
    await chmod(redis.url, 0o777);
    await expect.poll(async () => (await web.exec(...image.healthCheck)).exitCode, { timeout: 30_000, interval: 500 }).toBe(0);
  });

  test('has nothing of the registry’s secrets, of the tests, or of what only development needs', async () => {
    const found = await execa('grep', ['-rlIE', planted, image.rootfs], { reject: false });
    const listed = await execa('ls', ['-A', `${image.rootfs}/opt/mayfly`, `${image.rootfs}/opt/mayfly/node_modules/.bin`]);

    expect(found).toMatchObject({ exitCode: 1, stdout: '' });
    expect(listed.stdout).not.toMatch(/^(?:test|\.git|\.env|vitest|oxlint|tsc)$/m);
  });
});
