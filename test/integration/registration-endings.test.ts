/** How a registration ends when something is wrong, and that it never costs what was there. */
import { mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RegistrationOptions } from '../../src/registration/register.ts';
import { openPage } from '../support/browser.ts';
import { failOnViolations } from '../support/github/clients.ts';
import { createStandInGitHub } from '../support/github/stand-in.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { failureOf, findWayBack, finish, makeFolder, startRegistration } from '../support/registration.ts';
import type { Attempt } from '../support/registration.ts';

let gitHub: StandInGitHub;
let folder: Awaited<ReturnType<typeof makeFolder>>;

beforeAll(async () => {
  gitHub = await createStandInGitHub();
});
afterAll(() => gitHub.close());
beforeEach(async () => {
  folder = await makeFolder();
});
afterEach(async () => {
  await folder[Symbol.asyncDispose]();
  failOnViolations(gitHub);
});

const start = async (change: Partial<RegistrationOptions> = {}): Promise<Attempt> => await startRegistration(gitHub, { directory: folder.path, ...change });

describe('the way back', () => {
  it('with a wrong state is refused and noticed; the right one still works after it', async () => {
    const attempt = await start();
    const back = await findWayBack(attempt.address);
    const wrong = new URL(back);
    wrong.searchParams.set('state', 'x'.repeat(43));

    const refused = [await openPage(wrong.href), await openPage(back.replace(/&state=.*/, ''))];

    expect(refused.map(({ status }) => status)).toEqual([403, 403]);
    expect(attempt.strangers()).toBe(2);
    expect(await readdir(folder.path)).toEqual([]);
    expect((await openPage(back)).status).toBe(200);
    await attempt.ended;
  });

  it('works once: a second one is refused while the first is at work, and nobody listens afterwards', async () => {
    const inside = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const attempt = await start({
      exchange: async () => {
        inside.resolve();
        await goOn.promise;
        return { appId: 1, slug: 'a', url: 'https://github.com/apps/a', privateKey: gitHub.app.privateKey, webhookSecret: null };
      },
    });
    const back = await findWayBack(attempt.address);

    const first = openPage(back);
    await inside.promise;
    const second = await openPage(back);
    goOn.resolve();

    expect(second.status).toBe(409);
    expect((await first).status).toBe(200);
    await attempt.ended;
    await expect(openPage(back)).rejects.toBeInstanceOf(TypeError);
  });

  it.each([
    ['an old code', () => gitHub.registrations.expireCodes(), 'registration_refused'],
    ['a GitHub that is down', () => gitHub.fault({ path: /conversions$/, status: 502, times: 3 }), 'github_unavailable'],
    ['an answer of another form', () => gitHub.fault({ path: /conversions$/, status: 201, body: { id: 1, pem: 'no' } }), 'github_unavailable'],
  ])('ends with %s', async (_what, arrange, code) => {
    const attempt = await start();
    const back = await findWayBack(attempt.address);
    arrange();

    const page = await openPage(back);

    expect(page).toMatchObject({ status: 502, text: expect.stringContaining('It did not work') as unknown });
    expect(await failureOf(attempt.ended)).toBe(code);
    expect(await readdir(folder.path)).toEqual([]);
    expect(attempt.log.lines.join('\n')).not.toContain(new URL(back).searchParams.get('code'));
  });

  it('ends with what GitHub says went wrong, escaped', async () => {
    const attempt = await start();
    const back = new URL(await findWayBack(attempt.address));
    back.searchParams.delete('code');
    back.searchParams.set('error_description', '<b>no\u001B[2J way</b>');

    const page = await openPage(back.href);
    const error: unknown = await attempt.ended.catch((thrown: unknown) => thrown);

    expect(page.text).not.toContain('<b>');
    expect(error).toMatchObject({ code: 'registration_refused', details: { reason: '<b>no [2J way</b>' } });
  });

  it('is tried again when an answer got lost', async () => {
    const attempt = await start();
    const back = await findWayBack(attempt.address);
    gitHub.fault({ path: /conversions$/, status: 502 });

    expect((await openPage(back)).status).toBe(200);
    await attempt.ended;
  });
});

describe('credentials that are there', () => {
  it.each(['mayfly.pem', 'mayfly.env'])('%s stays as it is, and GitHub is not asked', async (name) => {
    await writeFile(join(folder.path, name), 'mine');

    expect(await failureOf(start())).toBe('credentials_exist');
    expect(await readFile(join(folder.path, name), 'utf8')).toBe('mine');
  });

  it('are not overwritten when they come in the meantime, nor through a link', async () => {
    const attempt = await start();
    const back = await findWayBack(attempt.address);
    await symlink(join(folder.path, 'elsewhere'), join(folder.path, 'mayfly.pem'));

    const page = await openPage(back);

    expect(page.status).toBe(502);
    expect(await failureOf(attempt.ended)).toBe('credentials_exist');
    expect(await readdir(folder.path)).toEqual(['mayfly.pem']);
  });

  it('get a folder that only its owner enters', async () => {
    const attempt = await start({ directory: join(folder.path, 'new/one') });
    await finish(attempt);

    expect((await stat(join(folder.path, 'new/one'))).mode & 0o777).toBe(0o700);
  });

  it.each(['with space', 'with"quote', 'with$dollar'])(
    'are not put into a folder %s: its name would mean something to the readers of the file',
    async (name) => {
      await mkdir(join(folder.path, name));

      expect(await failureOf(start({ directory: join(folder.path, name) }))).toBe('usage');
    },
  );
});
