/** What commands mean on a pull request, where they mean something else than on an issue. */
import type { Work } from '../job.ts';
import { refuse, say, tellRun } from './answer.ts';
import type { Obeyed } from './answer.ts';
import { ciWhileWorking, onlyOnIssues } from './command-texts.ts';
import { recallWork, subjectOf } from './memory.ts';
import { askPull } from './pull-intake.ts';
import { releaseCi } from './release-ci.ts';
import { requestAt } from './review-requests.ts';
import type { Intake, Scene } from './scene.ts';
import { readValues, triggerOf } from './start.ts';

type Command = (scene: Scene) => Promise<Obeyed>;

const ofIssues: Command = async (scene) => await say(scene, onlyOnIssues, 'refused');

export const pullCommands: Partial<Record<NonNullable<Intake['command']>, Command>> = {
  // What is said at a line is for a run of its own, which knows the line and answers there.
  fix: async (scene) => (scene.event.on === 'diff' ? null : await tellRun(scene)) ?? (await ask(scene, await reviseOf(scene))),
  merge: async (scene) => await ask(scene, { kind: 'merge' }),
  async retry(scene) {
    const work = await recallWork(scene.tools.memory, subjectOf(scene.event));
    return work === null ? await refuse(scene, { why: 'no_job' }) : await ask(scene, work);
  },
  async ci(scene) {
    const { event, github, tools } = scene;
    const [first] = await tools.queue.find(subjectOf(event));
    // A commit now would take the ground from under its work.
    if (first?.state === 'working') return await say(scene, ciWhileWorking, 'refused');
    const { repository, actor, saidAt = event.receivedAt } = event;
    const { defaultBranch } = repository;
    // Of the whole repository: a run may have been asked for on another pull request than the one that it pushed to.
    const [last] = await tools.memory.past(repository.id);
    const release = { number: event.issue.number, actor, saidAt, lastRunAt: last?.at ?? null, defaultBranch, signal: tools.signal };
    return await say(scene, await releaseCi(github, release), 'done');
  },
  plan: ofIssues,
  approve: ofIssues,
  resume: ofIssues,
};

/** Said at a line, it is about that line, and is answered there. */
async function reviseOf({ event, github }: Scene): Promise<Work> {
  const { commentId, on, actor, issue } = event;
  const instruction = event.instruction || null;
  if (on !== 'diff' || commentId === undefined || instruction === null) return { kind: 'revise', instruction, requests: [] };
  const request = requestAt(await github.pulls.threads(issue.number), { commentId, login: actor.login, text: instruction });
  return request === null ? { kind: 'revise', instruction, requests: [] } : { kind: 'revise', instruction: null, requests: [request] };
}

async function ask(scene: Scene, work: Work): Promise<Obeyed> {
  const { event, github, tools, log } = scene;
  const values = await readValues(scene);
  if ('refusal' in values) return values.refusal === null ? 'refused' : await say(scene, values.refusal, 'refused');
  const { issue, ...origin } = event;
  return await askPull({ ...origin, number: issue.number, work, trigger: triggerOf(event) }, { ...tools, github, values, log });
}
