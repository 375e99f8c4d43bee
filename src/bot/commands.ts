/** What each command does. The person who gave it has write access. */
import { refuse, say, tellRun } from './answer.ts';
import type { Obeyed } from './answer.ts';
import { helpReply, nothingToStop, onlyOnPulls, planOutdatedReply, statusReply } from './command-texts.ts';
import { estimateFix } from './estimate.ts';
import type { Work } from '../job.ts';
import type { Intake, Scene } from './scene.ts';
import { sayStopped } from './living-comment.ts';
import { digestPlan, noteStop, recallHeld, recallPlan, recallSpend, recallWork, subjectOf } from './memory.ts';
import type { KeptPlan } from './memory.ts';
import { pullCommands } from './pull-commands.ts';
import { start } from './start.ts';

const commands: Record<NonNullable<Intake['command']>, (scene: Scene) => Promise<Obeyed>> = {
  fix,
  plan: async (scene) => await start(scene, { kind: 'plan', instruction: scene.event.instruction || null }),
  approve,
  stop,
  resume,
  retry,
  status,
  ci: async (scene) => await say(scene, onlyOnPulls, 'refused'),
  merge: async (scene) => await say(scene, onlyOnPulls, 'refused'),
  help: async (scene) => await say(scene, helpReply, 'done'),
  unknown: async ({ event, github }) => {
    // Whoever mistypes it ten times has read it once.
    await github.reply(event.issue.number, helpReply, 'issue');
    return 'refused';
  },
};

export async function obey(scene: Scene): Promise<Obeyed> {
  const { command = 'help', issue } = scene.event;
  const obeyed = (issue.isPullRequest ? pullCommands[command] : undefined) ?? commands[command];
  return await obeyed(scene);
}

/** With words of its own it is a message, as long as a run is there to hear it. */
async function fix(scene: Scene): Promise<Obeyed> {
  const instruction = scene.event.instruction || null;
  return (await tellRun(scene)) ?? (await start(scene, { kind: 'fix', instruction, resume: null, plan: null }));
}

/** Binds to the words of plan and issue: whoever changes the issue afterwards gets a new plan, not a run. */
async function approve(scene: Scene): Promise<Obeyed> {
  const { event, github, tools } = scene;
  const kept = await recallPlan(tools.memory, subjectOf(event));
  if (kept === null) return await refuse(scene, { why: 'no_plan' });
  if (isNewerThan(event, kept)) return await refuse(scene, { why: 'newer_plan' });
  const { title, body } = await github.issue(event.issue.number);
  const now: Scene = { ...scene, event: { ...event, issue: { ...event.issue, title, body } } };
  if (digestPlan({ title, body }, kept) === kept.digest) {
    return await start(now, { kind: 'fix', instruction: kept.instruction, resume: null, plan: kept.plan });
  }
  return await planAnew(now, kept.instruction);
}

/** Nobody approves what they have not read. The ids of comments grow, so they are better than a clock. */
const isNewerThan = ({ commentId = 0 }: Intake, plan: KeptPlan): boolean => plan.commentId === null || (plan.commentId ?? 0) > commentId;

async function resume(scene: Scene): Promise<Obeyed> {
  const held = await recallHeld(scene.tools.memory, subjectOf(scene.event));
  if (held === null) return await refuse(scene, { why: 'no_held' });
  const { branch, headSha, instruction, plan } = held;
  return await startApproved(scene, { kind: 'fix', instruction, resume: { branch, headSha }, plan });
}

/** A plan was approved for the issue as it read then: of another text, a new plan comes first. */
async function startApproved(scene: Scene, work: Work): Promise<Obeyed> {
  if (work.kind !== 'fix' || work.plan === null) return await start(scene, work);
  const { plan, instruction } = work;
  const kept = await recallPlan(scene.tools.memory, subjectOf(scene.event));
  if (kept !== null && digestPlan(scene.event.issue, { plan, instruction }) === kept.digest) return await start(scene, work);
  return await planAnew(scene, instruction);
}

async function planAnew(scene: Scene, instruction: string | null): Promise<Obeyed> {
  const started = await start(scene, { kind: 'plan', instruction });
  return started === 'started' ? await say(scene, planOutdatedReply(scene.event.actor.login), 'started') : started;
}

async function retry(scene: Scene): Promise<Obeyed> {
  const work = await recallWork(scene.tools.memory, subjectOf(scene.event));
  if (work === null) return await refuse(scene, { why: 'no_job' });
  return await startApproved(scene, work);
}

async function status(scene: Scene): Promise<Obeyed> {
  const { event, tools } = scene;
  const places = await tools.queue.find(subjectOf(event));
  const estimate = estimateFix(await tools.memory.past(event.repository.id));
  const spend = await recallSpend(tools.memory, subjectOf(event));
  return await say(scene, statusReply(places, { estimate, spend, now: Date.now() }), 'done');
}

async function stop(scene: Scene): Promise<Obeyed> {
  // What was asked for before, and is taken in later because GitHub did not answer, does not begin any more.
  await noteStop(scene.tools.memory, subjectOf(scene.event), scene.event.receivedAt);
  const stopped = await stopRuns(scene, 'stop');
  return stopped > 0 ? 'done' : await say(scene, nothingToStop, 'refused');
}

type StopScene = Omit<Scene, 'settings' | 'label'> & { readonly label?: string };

/** How many. A run that still waits never gets to say that it was stopped, so that is said here; a running one says so itself. */
export async function stopRuns({ event, github, tools, log, label }: StopScene, reason: 'stop' | 'unlabeled' | 'closed'): Promise<number> {
  const { repository, issue, actor } = event;
  // Whoever takes a label off may be tidying up; a run that works may have been asked for in other words.
  if (reason === 'unlabeled' && (await tools.queue.find(subjectOf(event)))[0]?.state === 'working') return 0;
  const stopped = await tools.queue.cancelIssue(repository.id, issue.number, reason, { login: actor.login, event });
  log.info({ stopped, reason }, 'runs of the issue stopped');
  const waiting = stopped.filter((run) => run.waited).map((run) => run.runId);
  if (waiting.length > 0) {
    await sayStopped(github, issue.number, waiting);
    if (label !== undefined) await github.removeLabel(issue.number, label);
  }
  return stopped.length;
}
