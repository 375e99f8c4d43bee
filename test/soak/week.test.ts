/** A week in the life of a repository: everything that people ask of Mayfly there, one after the other, in one installation. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createUserClient } from '../support/github/clients.ts';
import { portray } from '../support/portrait.ts';
import type { Portrait } from '../support/portrait.ts';
import type { ScriptedReply } from '../support/scripted-endpoint.ts';
import { expectNothingLeft, setStage } from '../support/stage.ts';
import type { Stage } from '../support/stage.ts';
import { issue, replies } from '../demo/story.ts';

const settingsPath = '.github/mayfly.yml';
/** The tests of the story, without an npm in between that starts for a second each time. */
const settings = (plan: string): string => `plan: ${plan}\ntest: node --test\nfollowUps:\n  quietSeconds: 2\n`;
const fix: readonly ScriptedReply[] = replies.filter((reply) => reply.tools?.some(({ name }) => name === 'edit' || name === 'submit'));
const bash = (command: string): ScriptedReply => ({ tools: [{ name: 'bash', input: { command } }] });
const submit = (summary: string, more: object = {}): ScriptedReply => ({ tools: [{ name: 'submit', input: { summary, files: ['src/slug.js'], ...more } }] });
const senseless: ScriptedReply = { tools: [{ name: 'bash', input: {} }] };
const slugOf = (start: string, end = ''): string =>
  `export function slug(title) {\n  return ${start}.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "")${end};\n}\n`;
const write = (text: string): ScriptedReply => bash(`cat > src/slug.js <<'END'\n${text}END`);

let stop: AbortController;
let stack: AsyncDisposableStack;
/** What the model says next, to whichever run asks. */
let script: ScriptedReply[];
let stage: Stage;
beforeEach(async () => {
  stop = new AbortController();
  stack = new AsyncDisposableStack();
  script = [];
  const files = { [settingsPath]: settings('always') };
  const change = { private: false, files, replies: 'request', config: { MAYFLY_RUNS_PER_USER_AND_HOUR: 100 } } as const;
  stage = await setStage(script, change, { stack, signal: stop.signal });
});
afterEach(() => stack.disposeAsync());

const github = () => stage.system.repository;
const comment = async (number: number, body: string, as = 'ada'): Promise<number> => await github().comment({ as, issue: number, body });

/** The next run, from what starts it until nothing is left to do. Resolves with how it ended. */
async function run(says: readonly ScriptedReply[], begin: () => Promise<unknown>) {
  script.push(...says);
  await begin();
  const { outcome } = await stage.system.nextReport();
  await stage.idle();
  return outcome;
}

/** An issue that ada opens and labels, as the next run. */
async function label(says: readonly ScriptedReply[], text: { title: string; body: string }) {
  let number = 0;
  const outcome = await run(says, async () => {
    number = await github().createIssue({ as: 'ada', ...text });
    await github().label({ as: 'ada', issue: number, label: 'mayfly' });
  });
  return { number, outcome };
}

async function pullOfIssue(): Promise<{ number: number; head: string }> {
  const [pull] = await github().pullRequests();
  return { number: pull.number, head: pull.head.sha };
}

it('goes through a week, says everything once, and leaves exactly what was asked for', async () => {
  const planned = await label([submit('Take the dashes off at both ends, in src/slug.js.', { files: [] })], issue);
  expect(planned.outcome).toEqual({ kind: 'planned' });
  const approved = await run(fix, () => comment(planned.number, '/agent approve'));
  expect(approved).toMatchObject({ kind: 'published', pullRequest: { draft: true } });
  await review();
  await failingChecks();
  await conflict();
  await unfinishedWork();
  await brokenSettings();

  await comment(planned.number, '/agent fix everything', 'mallory');
  await stage.idle();
  const week = await everyWord();
  await redeliverAll();

  expect(await portray(github())).toEqual(expected);
  expect(await everyWord()).toEqual(week);
  const [living] = await github().comments(planned.number);
  expect(living.body).toContain('- **planned**, ');
  expect(stage.logged().match(/(?<="msg":")[^"]* could not be [^"]*/g)).toBeNull();
  for (const id of new Set(stage.logged().match(/(?<="runId":")r\w{15}/g))) await expectNothingLeft(stage, id);
});

/** All that anybody sees at the end. Comments of mallory, who may not write here, have no reaction and no answer. */
const expected: Portrait = {
  subjects: {
    1: 'slug() leaves a dash at the end (open, eyes, rocket)',
    2: 'Fix #1: slug() leaves a dash at the end (open)',
    3: 'slug() takes no number (open, eyes, confused)',
    4: 'Work on #3: slug() takes no number (open)',
    5: 'Action required: correct .github/mayfly.yml (closed)',
    6: 'slug() takes no list (open, eyes, confused)',
    7: 'Correct the settings (open)',
  },
  comments: {
    1: [
      'mayfly[bot]: **Mayfly: done.** Draft pull request #2 is ready for review. Branch `mayfly/issue-1`.',
      'mayfly[bot]: @ada This is the plan. Nothing has been changed yet.',
      'ada: /agent approve (eyes, rocket)',
      'mallory: /agent fix everything',
    ],
    2: [
      'mayfly[bot]: **Mayfly: done.** Commit <sha> is on the branch of pull request #2. Workflows have not run on it: read it first, then start them with a comment: `/agent ci`.',
      'ada: /agent ci (eyes, rocket)',
      'mayfly[bot]: Workflows may run now: <sha> has the same files as <sha>, and holds nothing back.',
      'ada: /agent ci (eyes, rocket)',
      'mayfly[bot]: Workflows may run now: <sha> has the same files as <sha>, and holds nothing back.',
      'ada: /agent merge (eyes, rocket)',
    ],
    3: [
      'mayfly[bot]: **Mayfly: done.** Draft pull request #4 is ready for review. Branch `mayfly/issue-3`.',
      'ada: /agent stop (eyes, rocket)',
      'mayfly[bot]: @ada The run was stopped by `ada` before it was finished.',
      'ada: /agent resume (eyes, confused)',
      'mayfly[bot]: @ada The run reached a limit (three calls in a row that could not be understood) before it was finished.',
      'ada: /agent retry (eyes, rocket)',
    ],
    6: ['mayfly[bot]: @ada Not done: `.github/mayfly.yml` on the default branch is broken. #5 says what to correct; then ask again.'],
  },
  threads: {
    2: [
      'src/slug.js:3 ada: Say `-+`, so that two dashes go as well. (eyes, rocket)',
      'src/slug.js:2 ada: Export it as default. (eyes, rocket)',
      'test/slug.test.js:11 ada: One with only signs, please. (eyes, rocket)',
      'test/slug.test.js:10 ada: And one with digits. (eyes, rocket)',
      'src/slug.js:3 mayfly[bot]: Done in <sha>: It does now.',
      'src/slug.js:2 mayfly[bot]: Not changed: Every caller imports it by name.',
      'test/slug.test.js:11 mayfly[bot]: Done in <sha>: It does now.',
      'test/slug.test.js:10 mayfly[bot]: Done in <sha>: It does now.',
    ],
  },
  branches: {
    main: ['Letters without accents', 'Plans when asked', 'Plans sometimes', 'Plans asked'],
    'mayfly/issue-1': [
      'Fix issue 1 (Mayfly run: neutral, Mayfly proof: success)',
      'Follow the review of pull request 2 (Mayfly proof: neutral)',
      'Start the workflows of pull request 2 (Mayfly run: neutral, build: failure)',
      'Repair the checks of pull request 2 (Mayfly proof: neutral)',
      'Start the workflows of pull request 2 (Mayfly run: neutral, build: success)',
      'Merge the base into pull request 2 (Mayfly proof: success)',
    ],
    // What was held went with the pull request that it became part of.
    'mayfly/issue-3': ['Fix issue 3 (Mayfly proof: success)'],
    settings: ['Plans never (Mayfly settings: failure)', 'Plans again (Mayfly settings: success)'],
  },
};

/** Four comments handed in at once, which arrive before the review that they belong to. */
async function review(): Promise<void> {
  const { number } = await pullOfIssue();
  const { webhooks } = stage.system.standIn;
  webhooks.hold();
  const comments = [
    { path: 'src/slug.js', line: 3, body: 'Say `-+`, so that two dashes go as well.' },
    { path: 'src/slug.js', line: 2, body: 'Export it as default.' },
    { path: 'test/slug.test.js', line: 11, body: 'One with only signs, please.' },
    { path: 'test/slug.test.js', line: 10, body: 'And one with digits.' },
  ];
  const made = await github().review({ as: 'ada', pull: number, event: 'REQUEST_CHANGES', body: 'Nearly.', comments });
  const answers = made.comments.map((id, at) => ({ comment: id, addressed: at !== 1, text: at === 1 ? 'Every caller imports it by name.' : 'It does now.' }));
  const tests = `sed -i '11a\\  assert.equal(slug("?!"), "");\\n  assert.equal(slug("4 You"), "4-you");' test/slug.test.js; sed -i 's|/^-.-$/g|/^-+\\|-+$/g|' src/slug.js`;
  const says = [bash(tests), submit('Followed the review.', { replies: answers, files: ['src/slug.js', 'test/slug.test.js'] })];
  const outcome = await run(says, () => Promise.resolve(webhooks.release([4, 3, 2, 1, 0])));
  expect(outcome).toMatchObject({ kind: 'pushed' });
}

/** Workflows wait for a person; their failure is repaired, and what they say of that is awaited the same way. */
async function failingChecks(): Promise<void> {
  const { number } = await pullOfIssue();
  await comment(number, '/agent ci');
  await stage.idle();
  const log = '2026-01-02T03:04:05.0000000Z ##[error]src/slug.js: the last comma of the README is missing\n';
  const fail = async (): Promise<void> =>
    await github().runWorkflows({ sha: (await pullOfIssue()).head, conclusion: 'failure', runs: [{ name: 'build', conclusion: 'failure', log }] });
  const outcome = await run([bash('echo "Without dashes at either end." >> README.md'), submit('Mended.', { files: ['README.md'] })], fail);
  expect(outcome).toMatchObject({ kind: 'pushed' });
  await comment(number, '/agent ci');
  await stage.idle();
  await github().runWorkflows({ sha: (await pullOfIssue()).head, conclusion: 'success', runs: [{ name: 'build', conclusion: 'success' }] });
  await stage.idle();
}

async function conflict(): Promise<void> {
  const { number } = await pullOfIssue();
  const theirs = { 'src/slug.js': slugOf('title.normalize("NFKD").toLowerCase()').replace('.replace(/^-|-$/g, "")', '') };
  await github().commit({ message: 'Letters without accents', files: theirs, by: 'ada' });
  const says = [write(slugOf('title.normalize("NFKD").toLowerCase()')), submit('Both.')];
  expect(await run(says, () => comment(number, '/agent merge'))).toMatchObject({ kind: 'pushed' });
  const { commits } = await github().pullRequest(number);
  expect(commits.at(-1).parents.map(({ sha }: { sha: string }) => sha)).toContain((await github().branches())['main']);
}

/** Another issue, without a plan: stopped in the middle, resumed to no avail, tried again. */
async function unfinishedWork(): Promise<void> {
  await github().commit({ message: 'Plans when asked', files: { [settingsPath]: settings('asked') }, by: 'ada' });
  await stage.idle();
  const text = { title: 'slug() takes no number', body: '`slug(404)` throws a TypeError. It should be `404`, as for the text.' };
  const working = stage.until((event) => event.kind === 'step');
  let number = 0;
  const stopped = await run([bash(`echo half > half.txt; sleep 600`)], async () => {
    number = await github().createIssue({ as: 'ada', ...text });
    await github().label({ as: 'ada', issue: number, label: 'mayfly' });
    await working;
    await comment(number, '/agent stop');
  });
  expect(stopped).toMatchObject({ kind: 'cancelled', by: 'ada' });
  const lost = await run([senseless, senseless, senseless], () => comment(number, '/agent resume'));
  expect(lost).toMatchObject({ kind: 'gave_up', limit: 'malformed_calls' });
  const says = [bash('cat half.txt && rm half.txt'), write(slugOf('String(title).normalize("NFKD").toLowerCase()')), submit('Numbers become text first.')];
  expect(await run(says, () => comment(number, '/agent retry'))).toMatchObject({ kind: 'published' });
}

/** On the default branch, where they stop everything; then in a pull request, which says whether it would mend them. */
async function brokenSettings(): Promise<void> {
  await github().commit({ message: 'Plans sometimes', files: { [settingsPath]: settings('sometimes') }, by: 'ada' });
  await stage.idle();
  const number = await github().createIssue({ as: 'ada', title: 'slug() takes no list', body: '`slug(["a", "b"])` throws a TypeError. It should be `a-b`.' });
  await github().label({ as: 'ada', issue: number, label: 'mayfly' });
  await stage.idle();
  const mend = async (branch: string, message: string, plan: string): Promise<void> => {
    await github().commit({ branch, message, files: { [settingsPath]: settings(plan) }, by: 'ada' });
    await stage.idle();
  };
  await mend('settings', 'Plans never', 'never');
  const ada = createUserClient(stage.system.standIn, 'ada');
  const at = { owner: github().owner, repo: github().name };
  await ada.rest.pulls.create({ ...at, head: 'settings', base: 'main', title: 'Correct the settings' });
  await stage.idle();
  await mend('settings', 'Plans again', 'asked');
  // As a person merges it.
  await mend('main', 'Plans asked', 'asked');
}

async function everyWord(): Promise<unknown> {
  const issues = await github().allIssues();
  const said = async (number: number) => [
    await github().comments(number),
    await github()
      .reviewComments(number)
      .catch(() => []),
  ];
  return { issues, said: await Promise.all(issues.map(({ number }) => said(number))), portrait: await portray(github()) };
}

/** GitHub may send everything again, and anyone who once saw a delivery may try the same under another id. */
async function redeliverAll(): Promise<void> {
  const { webhooks } = stage.system.standIn;
  const accepted = (): number => stage.logged().split('"result":"queued"').length;
  const before = accepted();
  for (const id of webhooks.deliveries.map((delivery) => delivery.id)) {
    await webhooks.redeliver(id);
    await webhooks.replay(id);
  }
  await stage.idle();
  expect(accepted()).toBe(before);
}
