/** Test 22 of the list of attacks: what carries a secret, in whatever field and spelling, does not get to GitHub. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { PublishRequest } from '../../src/github/github.ts';
import { createSecrets } from '../../src/log.ts';
import type { StandInRepository } from '../support/github/repository.ts';
import { shareStandIn } from '../support/github/shared.ts';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { aPublishRequest, openPort } from '../support/github-port.ts';

const canary = 'canary-of-the-operator-42';
const spellings = {
  plain: canary,
  base64: Buffer.from(canary).toString('base64'),
  hex: Buffer.from(canary).toString('hex'),
  reversed: Array.from(canary).toReversed().join(''),
  split: canary.replace(/.{6}/g, '$& '),
  'URL-encoded': Buffer.from(canary).toString('hex').replace(/../g, '%$&'),
};
const asFile = (text: string, path = 'a.txt'): Partial<PublishRequest> => ({
  files: [{ path, change: { kind: 'write', mode: '100644', content: Buffer.from(`x = "${text}"\n`) } }],
});
const fields: Readonly<Record<string, (text: string) => Partial<PublishRequest>>> = {
  diff: (text) => asFile(text),
  'commit message': (text) => ({ commitMessage: `Fix it: ${text}` }),
  title: (text) => ({ title: `Fix it: ${text}` }),
  body: (text) => ({ body: `What was done: ${text}` }),
};

let standIn: StandInGitHub;
let seeded: StandInRepository;
let baseSha: string;
shareStandIn((made) => (standIn = made));
beforeAll(async () => {
  seeded = await standIn.seedRepository({ files: { 'a.txt': 'a\n' }, collaborators: [{ login: 'ada', permission: 'write' }] });
  baseSha = (await seeded.branches())['main'] ?? '';
});

function open() {
  const secrets = createSecrets();
  secrets.protect(canary);
  return openPort(standIn, seeded, { secrets });
}

describe('test 22: publishing stops before anything is written', () => {
  for (const [field, put] of Object.entries(fields)) {
    it.each(Object.entries(spellings))(`at a secret in the ${field}: %s`, async (_name, text) => {
      const { repository, lines } = open();

      await expect(repository.publish(aPublishRequest(baseSha, put(text)))).rejects.toMatchObject({ code: 'secret_in_text' });

      expect(await seeded.pullRequests()).toEqual([]);
      expect(lines.join('\n')).not.toContain(text);
    });
  }

  it('at a secret in the name of a branch or a file', async () => {
    const { repository } = open();

    for (const wrong of [{ branch: `mayfly/${spellings.hex}` }, asFile('x', `docs/${spellings.hex}.txt`)]) {
      await expect(repository.publish(aPublishRequest(baseSha, wrong))).rejects.toMatchObject({ code: 'secret_in_text' });
    }
    expect(Object.keys(await seeded.branches())).not.toContain(`mayfly/${spellings.hex}`);
  });
});

describe('test 22: nothing is said', () => {
  it.each(Object.entries(spellings))('that carries a secret: %s', async (_name, text) => {
    const { repository } = open();
    const issue = await seeded.createIssue({ as: 'ada', title: 'It breaks' });
    const check = { headSha: baseSha, name: 'Mayfly proof', externalId: 'r1', conclusion: 'neutral', title: 'Done' } as const;

    const says = [
      () => repository.reply(issue, `It was ${text}.`),
      () => repository.livingComment(issue, '<!-- m -->', `It was ${text}.`),
      () => repository.livingComment(issue, '<!-- m -->', () => `It was ${text}.`),
      () => repository.check({ ...check, summary: `Output: ${text}` }),
    ];
    for (const say of says) await expect(say()).rejects.toMatchObject({ code: 'secret_in_text' });

    expect(await seeded.comments(issue)).toEqual([]);
    expect(await seeded.checks(baseSha)).toEqual([]);
  });

  it('but the rest is', async () => {
    const { repository } = open();
    const issue = await seeded.createIssue({ as: 'ada', title: 'It breaks' });

    await repository.reply(issue, 'Nothing secret.');

    expect(await seeded.comments(issue)).toHaveLength(1);
  });
});

describe('a check run', () => {
  it('is in progress while a run works, and completed by the same run', async () => {
    const { repository } = open();
    const check = { headSha: baseSha, name: 'Mayfly proof', externalId: 'r2', title: 'Working', summary: 'It works.' };

    await repository.check({ ...check, conclusion: null });
    expect(await seeded.checks(baseSha)).toMatchObject([{ status: 'in_progress', external_id: 'r2' }]);
    await repository.check({ ...check, conclusion: 'success', title: 'Proven' });

    expect(await seeded.checks(baseSha)).toMatchObject([{ status: 'completed', conclusion: 'success', output: { title: 'Proven' } }]);
  });
});
