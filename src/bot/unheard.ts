/** What people said to a run whose agent read nothing any more: it is said to them, and kept for the next run. */
import { asFixError } from '../errors.ts';
import type { FixOutcome } from '../job.ts';
import { unheardReply } from './command-texts.ts';
import { recallUnheard, subjectOf } from './memory.ts';
import type { PersonMessage } from './message-desk.ts';
import { maySteer, readPermission } from './repository-settings.ts';
import type { JobContext, TalkContext } from './work.ts';

/** Puts what an earlier run did not hear on the desk of this one. Whoever may not steer it any more is not heard. */
export async function bringEarlier({ job, tools, github, settings, desk }: JobContext): Promise<void> {
  const messages = await recallUnheard(tools.memory, subjectOf(job));
  const heard: PersonMessage[] = [];
  for (const message of messages)
    if (maySteer(await readPermission({ github, operator: tools.operator }, message.login), settings.values['triggers.permission'])) heard.push(message);
  desk.put(heard);
}

/** The last thing of a run: until now there was one to say something to. A failure here is logged and no more. */
export async function endTalk(context: TalkContext, outcome: FixOutcome): Promise<void> {
  const { job, desk, report, attempt, tools } = context;
  // A worker that lost the run leaves what was said to the one that has it.
  if (!(await attempt.ownsRun())) return desk.stop();
  const unheard = await desk.close(report.steps - (report.earlier?.steps ?? 0));
  const own = subjectOf(job);
  const next = outcome.kind === 'published' ? { ...own, issue: outcome.pullRequest.number } : own;
  try {
    if (unheard.length > 0) {
      await tools.memory.keep(next, 'unheard', unheard);
      await say(context, outcome, unheard);
    }
    if (desk.hasEarlier && (unheard.length === 0 || next !== own)) await tools.memory.keep(own, 'unheard', []);
  } catch (thrown) {
    attempt.log.error({ err: asFixError(thrown) }, 'a message was not answered');
  }
}

async function say({ job, github }: TalkContext, outcome: FixOutcome, unheard: readonly PersonMessage[]): Promise<void> {
  const where = outcome.kind === 'published' ? outcome.pullRequest.number : null;
  const next = outcome.kind === 'planned' ? '/agent approve' : '/agent';
  const logins = unheard.map(({ login }) => login);
  await github.reply(job.issue.number, unheardReply(logins, { where, next }));
}
