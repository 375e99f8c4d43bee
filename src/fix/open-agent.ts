/** The agent of a run: its task, its limits, and where what it does is written down. */
import { startAgent } from '../agent/loop.ts';
import type { Agent } from '../agent/loop.ts';
import type { TaskText } from '../agent/task.ts';
import type { Snapshot } from '../git/mirror.ts';
import type { PatchFile, TestRun } from '../job.ts';
import type { Model } from '../model/model.ts';
import { makeTask } from './agent-task.ts';
import { capByBudget } from './budget.ts';
import { meter } from './meter.ts';
import type { Plan } from './plan.ts';
import type { RunRequest, RunTools } from './run-request.ts';
import type { Workspace } from './workspace.ts';

export interface AgentStart {
  readonly snapshot: Snapshot;
  /** Work of an earlier run. */
  readonly laid: readonly PatchFile[];
  readonly plan: Plan;
  readonly model: Model;
  readonly workspace: Workspace;
  /** What the tests said before anything was changed. */
  readonly tests: TestRun | null;
  /** What the workspace was given for it. */
  readonly prepared: readonly TaskText[];
}

/** Nothing is asked of the model yet. */
export async function openAgent(request: RunRequest, tools: RunTools, context: AgentStart): Promise<Agent> {
  const { report, budget, signal, log, onEvent } = request;
  const transcript = await tools.openTranscript(report.runId);
  report.transcriptFile = transcript.file;
  const { plan, laid, tests, prepared } = context;
  const { sandbox, node } = context.workspace;
  const machine = { info: sandbox.info, node, packages: tools.guestPackages, tests };
  const agent = startAgent({
    run: { id: report.runId, baseSha: context.snapshot.sha },
    task: { ...makeTask({ ...request.issue, texts: [...(request.issue.texts ?? []), ...prepared] }, plan, machine), earlier: laid.map(({ path }) => path) },
    sandbox,
    model: meter(context.model, { report, budget }),
    limits: capByBudget(tools.limits.agent, budget),
    transcript,
    signal,
    log,
    ...(request.takeMessages && { takeMessages: request.takeMessages }),
    onStep: ({ number, line }) => onEvent({ kind: 'step', number, line }),
  });
  report.context = agent.seen;
  return agent;
}
