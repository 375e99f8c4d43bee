/** `mayfly doctor` as a process on this host: bare, and with everything that it can ask. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { loadConfig } from '../../src/config.ts';
import { vmOptions } from '../../src/run-tools.ts';
import { findTemplate } from '../../src/sandbox/template.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import { endsWithUs } from '../support/ends-with-us.ts';
import { redisIsMissing, startRedis } from '../support/redis.ts';
import { root } from '../support/repository.ts';

const Finding = z.strictObject({
  group: z.enum(['host', 'sandbox', 'redis', 'github', 'model']),
  name: z.string(),
  status: z.enum(['ok', 'warning', 'problem', 'not_checked']),
  found: z.string().min(1),
  advice: z.string().min(1).nullable(),
});
const Report = z.strictObject({ ok: z.boolean(), findings: z.array(Finding), provider: z.strictObject({ name: z.string(), why: z.string() }) });

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mayfly-doctor-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** With an environment of its own. */
async function doctor(argv: readonly string[], environment: Record<string, string>) {
  const env = { PATH: process.env['PATH'] ?? '', ...environment };
  const child = spawn(...endsWithUs(process.execPath, [join(root, 'src/main.ts'), 'doctor', ...argv]), { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [exitCode]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { stdout, stderr, exitCode: exitCode as number };
}

describe('mayfly doctor', () => {
  test('says on a bare host what is missing, one thing a line, and leaves nothing there', async () => {
    const { stdout, stderr, exitCode } = await doctor([], {
      MAYFLY_CACHE_DIR: join(directory, 'cache'),
      MAYFLY_STATE_DIR: join(directory, 'state'),
      // A port of loopback on which nobody listens: the test does not ask the real GitHub.
      GITHUB_API_URL: 'http://127.0.0.1:9',
      // Set to nothing, as an empty line of an environment file does.
      ANTHROPIC_BASE_URL: '',
    });

    expect(stderr).toBe('');
    expect(stdout).toMatch(/^host\n {2}/);
    expect(stdout).toMatch(/problem +template +there is none for this version of Mayfly\n +→ npx mayfly image build/);
    for (const name of ['REDIS_URL', 'APP_ID', 'MAYFLY_MODEL', 'MAYFLY_JOB_KEY']) expect(stdout).toContain(`${name} is not set`);
    expect(stdout).toMatch(/\n\d+ problems?, \d+ warnings?, \d+ not checked\.\nA run here uses \w+: .+\.\n$/);
    expect(exitCode).toBe(3);
    expect(await readdir(directory)).toEqual([]);
  });

  test('says that the kernel which the operator named cannot be read', async () => {
    const { stdout, exitCode } = await doctor([], {
      MAYFLY_CACHE_DIR: join(directory, 'cache'),
      MAYFLY_STATE_DIR: join(directory, 'state'),
      GITHUB_API_URL: 'http://127.0.0.1:9',
      MAYFLY_GUEST_KERNEL: join(directory, 'none'),
    });

    expect(stdout).toMatch(/problem +kernel +\S+\/none cannot be read\n +→ MAYFLY_GUEST_KERNEL/);
    expect(exitCode).toBe(3);
  });

  test.skipIf(redisIsMissing())(
    'prints one JSON object about what it could ask',
    async () => {
      const redis = await startRedis();
      await using github = await createStandInGitHub();
      const config = loadConfig('tool');
      const template = await findTemplate(vmOptions(config, pino({ level: 'silent' }))).then(
        () => 'ok',
        () => 'problem',
      );
      const { stdout, exitCode } = await doctor(['--json'], {
        MAYFLY_CACHE_DIR: config.MAYFLY_CACHE_DIR,
        MAYFLY_STATE_DIR: config.MAYFLY_STATE_DIR,
        REDIS_URL: redis.url,
        MAYFLY_JOB_KEY: 'a-job-key-that-must-not-be-seen-anywhere',
        GITHUB_API_URL: github.apiUrl,
        APP_ID: String(github.app.appId),
        PRIVATE_KEY: github.app.privateKey,
        MAYFLY_MODEL: 'compatible/some-model',
        MAYFLY_MODELS: 'compatible/other',
        MAYFLY_FALLBACK_MODEL: 'compatible/third',
        MAYFLY_MODEL_PRICES: 'compatible/some-model=1:2 compatible/other=1:2',
      });
      await redis.stop();
      const report = Report.parse(JSON.parse(stdout));
      const statuses = Object.fromEntries(report.findings.map(({ group, name, status }) => [`${group} ${name}`, status]));

      expect(statuses).toMatchObject({
        'host clock': 'ok',
        'sandbox template': template,
        'redis server': 'ok',
        'redis persistence': 'ok',
        'redis eviction': 'ok',
        'redis job key': 'ok',
        'github app': 'ok',
        'github permissions': 'ok',
        'model key': 'problem',
        'model choice': 'problem',
        'model fallback': 'problem',
        'model prices': 'warning',
      });
      expect(stdout.trimEnd().split('\n')).toHaveLength(1);
      expect(stdout).not.toContain('a-job-key');
      expect([report.ok, exitCode]).toEqual([false, 3]);
    },
    240_000,
  ); // it reads the whole template, which may come from a slow disk
});
