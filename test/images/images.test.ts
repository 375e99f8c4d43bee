/** Both images as an operator gets them: built from the Dockerfile without a daemon, started as compose.yaml says, asked how they are. */
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { templateRootfs } from '../support/template.ts';
import { readComposeService } from '../support/compose.ts';
import { isSkipped } from '../support/guest.ts';
import { createImageBuilder, lacksForImages } from '../support/image-builder.ts';
import type { BuiltImage, ImageBuilder } from '../support/image-builder.ts';
import { startInstallation } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import { startContainer } from '../support/oci-container.ts';
import type { Container } from '../support/oci-container.ts';
import { startRedis } from '../support/redis.ts';
import type { RedisServer } from '../support/redis.ts';
import { jobKey, webhookSecret } from '../support/web-role.ts';
import { replies } from '../demo/story.ts';

// .ci/run brings the tools, so that there a missing one is a failure.
const lacks = process.env['CI'] === undefined ? await lacksForImages() : [];
const skipped = isSkipped('the images', lacks.length === 0 ? null : `building and starting them takes ${lacks.join(', ')}`);

const planted = 'planted-token-of-a-registry';

describe.skipIf(skipped)('the image', () => {
  let builder: ImageBuilder;
  beforeAll(async () => {
    builder = await createImageBuilder(loadConfig('tool').MAYFLY_CACHE_DIR);
  });
  afterAll(() => builder?.[Symbol.asyncDispose]());

  const healthOf = (container: Container, image: BuiltImage) => container.exec(...image.healthCheck);

  describe('of the web role', () => {
    let image: BuiltImage;
    let redis: RedisServer;
    beforeAll(async () => {
      redis = await startRedis();
      image = await builder.build('web', `//registry.example/:_authToken=${planted}\n`);
      // The image's user is not the one of the tests.
      await chmod(dirname(redis.url), 0o711);
      await chmod(redis.url, 0o777);
    });
    afterAll(() => redis?.stop());

    const start = async () =>
      startContainer({
        image,
        service: await readComposeService('web'),
        environment: { REDIS_URL: '/queue/redis.sock', WEBHOOK_SECRET: webhookSecret, MAYFLY_JOB_KEY: jobKey },
        folders: { '/queue': dirname(redis.url) },
        network: 'none',
      });

    test('runs as a plain user on read-only files, says that it is well, and ends cleanly', async () => {
      await using web = await start();

      await expect.poll(async () => (await healthOf(web, image)).exitCode, { timeout: 30_000, interval: 500 }).toBe(0);

      expect(await web.exec('id', '-u')).toMatchObject({ text: '10001' });
      expect((await web.exec('grep', '-c', '^Cap.*0000000000000000$', '/proc/1/status')).text).toBe('5');
      expect((await web.exec('grep', '-E', ' / [a-z]+ ro,', '/proc/mounts')).exitCode).toBe(0);
      expect(await web.stop()).toMatchObject({ exitCode: 0 });
    });

    test('is not well when Redis is away, and says which of the two it is', async () => {
      await redis.kill();
      await using web = await start();

      await expect.poll(async () => (await healthOf(web, image)).exitCode, { timeout: 30_000, interval: 500 }).toBe(4);

      await redis.restart();
      await chmod(redis.url, 0o777);
      await expect.poll(async () => (await healthOf(web, image)).exitCode, { timeout: 30_000, interval: 500 }).toBe(0);
    });

    test('has nothing of the registry’s secrets, of the tests, or of what only development needs', async () => {
      const found = await execa('grep', ['-rlIE', planted, image.rootfs], { reject: false });
      const listed = await execa('ls', ['-A', `${image.rootfs}/opt/mayfly`, `${image.rootfs}/opt/mayfly/node_modules/.bin`]);

      expect(found).toMatchObject({ exitCode: 1, stdout: '' });
      expect(listed.stdout).not.toMatch(/^(?:test|\.git|\.env|vitest|oxlint|tsc)$/m);
    });
  });

  describe('of the worker', () => {
    let image: BuiltImage;
    let installation: Installation;
    /** What compose keeps: `cache`, `state`; and the key of the App. */
    let volumes: string;
    beforeAll(async () => {
      const fix = replies.filter((reply) => reply.tools?.some(({ name }) => name === 'edit' || name === 'submit'));
      installation = await startInstallation({ settings: {}, replies: () => fix });
      volumes = await mkdtemp(join(tmpdir(), 'mayfly-volumes-'));
      for (const name of ['cache', 'state']) await mkdir(join(volumes, name), { mode: 0o755 });
      await writeFile(join(volumes, 'app-key'), installation.standIn.app.privateKey, { mode: 0o600 });
      image = await builder.build('worker', '');
    });
    afterAll(async () => {
      await installation?.[Symbol.asyncDispose]();
      if (volumes) await rm(volumes, { recursive: true, force: true });
    });

    const start = async (name: 'template' | 'worker') => {
      const { PATH: _path, PRIVATE_KEY: _key, MAYFLY_STATE_DIR: _state, ...environment } = installation.environment;
      // The guest image of this host is that of the container, too; the memory that is saved beside it is not.
      const guestImage = dirname(dirname(templateRootfs ?? ''));
      return startContainer({
        image,
        service: await readComposeService(name),
        environment: { ...environment, REDIS_URL: '/queue/redis.sock', PRIVATE_KEY_PATH: '/run/secrets/app-key' },
        folders: {
          '/queue': dirname(installation.redis.url),
          '/run/secrets/app-key': join(volumes, 'app-key'),
          [`/var/cache/mayfly/images/${guestImage.slice(guestImage.lastIndexOf('/') + 1)}`]: guestImage,
        },
        volumes: { cache: join(volumes, 'cache'), state: join(volumes, 'state') },
        network: 'host',
      });
    };

    test('saves the memory of a guest with what compose.yaml lets the service `template` do', async () => {
      await using building = await start('template');

      const { exitCode, text } = await building.ended();

      expect({ exitCode, text }).toMatchObject({ exitCode: 0, text: expect.stringMatching(/^Guest template: \/var\/cache\/mayfly\/images\/\w+/m) as string });
      expect(await readdir(join(volumes, 'cache/snapshots'))).toHaveLength(1);
    });

    test('does a run with what compose.yaml lets the worker do, says that it is well, and ends cleanly', async () => {
      await installation.startWeb();
      await using worker = await start('worker');

      await expect.poll(async () => (await healthOf(worker, image)).text, { timeout: 60_000, interval: 1000 }).toMatch(/^worker on \S+: working, 0 of 1 runs/);
      expect((await worker.exec('grep', '^Seccomp:', '/proc/1/status')).text).toMatch(/2$/);
      // Whatever the doctor wants of a host is in the image, also where repositories may name images.
      const { text: report } = await worker.exec('env', 'MAYFLY_IMAGE_REGISTRIES=ghcr.io/acme', 'mayfly', 'doctor');
      expect(report).toMatch(/^ +ok +programs .*\bskopeo \d/m);
      await installation.label();
      await expect.poll(async () => (await installation.repository.pullRequests()).length, { timeout: 240_000, interval: 1000 }).toBe(1);
      const { exitCode, text } = await worker.stop();

      expect({ exitCode, text }).toMatchObject({ exitCode: 0, text: expect.stringContaining('"msg":"run finished"') as string });
      expect(text).toContain('"kind":"published"');
      expect(text).toMatch(/"provider":"(?:oci|qemu)","because":"KVM (?:does not work on this host, and gVisor is much faster|works on this host)/);
      expect(await installation.repository.pullRequests()).toMatchObject([{ draft: true }]);
      expect(await readdir(join(volumes, 'state/vms'))).toEqual([]);
    });
  });
});
