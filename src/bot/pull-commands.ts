/** What commands mean on a pull request, where they mean something else than on an issue. */
import type { Work } from '../job.ts';
import { refuse, say, tellRun } from './answer.ts';
import type { Obeyed } from './answer.ts';
import { onlyOnIssues } from './command-texts.ts';
import { recallWork, subjectOf } from './memory.ts';
import { askPull } from './pull-intake.ts';
import { releaseCi } from './release-ci.ts';
import type { Intake, Scene } from './scene.ts';
import { readValues, triggerOf } from './start.ts';

type Command = (scene: Scene) => Promise<Obeyed>;

const ofIssues: Command = async (scene) => await say(scene, onlyOnIssues, 'refused');

export const pullCommands: Partial<Record<NonNullable<Intake['command']>, Command>> = {
  fix: async (scene) => (await tellRun(scene)) ?? (await ask(scene, { kind: 'revise', instruction: scene.event.instruction || null, requests: [] })),
  merge: async (scene) => await ask(scene, { kind: 'merge' }),
  async retry(scene) {
    const work = await recallWork(scene.tools.memory, subjectOf(scene.event));
    return work === null ? await refuse(scene, { why: 'no_job' }) : await ask(scene, work);
  },
  async ci(scene) {
    const { event, github, tools } = scene;
    return await say(scene, await releaseCi(github, { number: event.issue.number, actor: event.actor, signal: tools.signal }), 'done');
  },
  plan: ofIssues,
  approve: ofIssues,
  resume: ofIssues,
};

async function ask(scene: Scene, work: Work): Promise<Obeyed> {
  const { event, github, tools, log } = scene;
  const values = await readValues(scene);
  if ('refusal' in values) return values.refusal === null ? 'refused' : await say(scene, values.refusal, 'refused');
  const { issue, ...origin } = event;
  return await askPull({ ...origin, number: issue.number, work, trigger: triggerOf(event) }, { ...tools, github, log });
}
