/**
 * Intake: from what a webhook said to a queued run. Runs in the worker role, because it asks GitHub. Outsiders get
 * silence, so that nobody can make the bot talk.
 */
import type { Permission } from '../github/github.ts';
import type { Log } from '../log.ts';
import type { Operator } from '../settings/operator.ts';
import type { Resolved } from '../settings/resolve.ts';
import { defaults } from '../settings/values.ts';
import { reactIfTaken } from './answer.ts';
import type { Obeyed } from './answer.ts';
import { obey, stopRuns } from './commands.ts';
import { isUnnamedBot, maySteer, readPermission, readRepositorySettings } from './repository-settings.ts';
import type { Intake, IntakeTools, Scene } from './scene.ts';
import { start } from './start.ts';

/** Idempotent: told twice, it does once. Throws FixErrors of the GitHub port, which the queue tries again. */
export async function takeIn(event: Intake, tools: IntakeTools, log: Log): Promise<void> {
  const github = tools.github.repository(event, { deliveryId: event.deliveryId, signal: tools.signal, records: [] });
  const { operator } = tools;
  const read = async (): Promise<Resolved> => await readRepositorySettings({ github, owner: event.repository.owner, operator });
  const place = { event, github, tools, log };
  if (event.kind === 'closed') return void (await stopRuns(place, 'closed'));
  if (event.kind === 'unlabeled') {
    if (isTriggerLabel(event, await read(), operator)) await stopRuns(place, 'unlabeled');
    return;
  }
  const permission = await readPermission({ github, operator }, event.actor.login);
  if (!maySteer(permission)) return log.info({ permission, outsiders: tools.countOutsider() }, 'trigger ignored: no write access');
  const settings = await read();
  const unheard = whyUnheard(event, permission, { settings, operator });
  if (unheard !== null) return log.info({ permission }, unheard);
  const scene: Scene = { ...place, settings, label: labelOf(settings, operator) };
  const done = event.kind === 'labeled' ? await startSeen(scene) : await obeySeen(scene);
  // Whoever looks at the comment sees what became of it; a run says so itself, at its end.
  if (done !== 'started') await react(scene, done === 'done' ? 'rocket' : 'confused');
}

/** GitHub takes writes a second apart: the run's comment, without which it does not begin, goes first. */
async function startSeen(scene: Scene): Promise<Obeyed> {
  const done = await start(scene, { kind: 'fix', instruction: null, resume: null, plan: null });
  await react(scene, 'eyes');
  return done;
}

async function obeySeen(scene: Scene): Promise<Obeyed> {
  await react(scene, 'eyes');
  return await obey(scene);
}

/** The label that the settings name; while they are broken, the operator's. */
const labelOf = (settings: Resolved, operator: Operator): string =>
  'effective' in settings ? settings.effective.values.label : (operator.defaults.label?.value ?? defaults.label);

/** GitHub ignores case in label names. */
const isTriggerLabel = ({ label }: Intake, settings: Resolved, operator: Operator): boolean =>
  label?.toLowerCase() === labelOf(settings, operator).toLowerCase();

/** Why a trigger of somebody with write access gets silence; for the log. Null when it is heard. */
function whyUnheard(event: Intake, permission: Permission, { settings, operator }: { settings: Resolved; operator: Operator }): string | null {
  if (event.kind === 'labeled' && !isTriggerLabel(event, settings, operator)) return 'another label';
  if ('problems' in settings) return null;
  const { values } = settings.effective;
  if (!maySteer(permission, values['triggers.permission'])) return 'trigger ignored: the settings ask for more than write access';
  return isUnnamedBot(event.actor.login, values, operator) ? 'trigger ignored: the settings do not name this bot' : null;
}

async function react({ event, github, log }: Scene, content: 'eyes' | 'rocket' | 'confused'): Promise<void> {
  const { commentId, on, issue } = event;
  // GitHub has none for a review: https://docs.github.com/en/rest/reactions/reactions
  if (on === 'review') return;
  const kind = commentId === undefined ? 'issue' : on === 'diff' ? 'review_comment' : 'issue_comment';
  await reactIfTaken(github, log, { kind, id: commentId ?? issue.number }, content);
}
