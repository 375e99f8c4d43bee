/** What a run has done so far, as a checklist: built from its events, the same for each attempt from the start. */
import { inlineCode } from '../fix/neutral.ts';
import type { Phase, RunEvent } from '../fix/report.ts';
import type { TestRun, Verdict } from '../job.ts';
import { duration } from './durations.ts';

/** What a person told the agent while it works. */
export interface AgentMessage {
  readonly id: string;
  readonly login: string;
  /** Text that a person wrote. */
  readonly text: string;
  /** The step before which the agent read it; null while it waits. */
  readonly givenAtStep: number | null;
}

export interface Progress {
  event(event: RunEvent): void;
  /** Told again with the same id, it is brought up to date. */
  message(message: AgentMessage): void;
  /** Markdown; hostile text in it is inert. */
  lines(): readonly string[];
}

interface Stage {
  readonly phase: Phase;
  readonly name: string;
  state: 'open' | 'working' | 'done' | 'failed';
  durationMs: number;
}

/** Phases that are too short, or too much the machine's own business, to be a line. */
const shownPhases: readonly (readonly [Phase, string])[] = [
  ['boot', 'VM booted'],
  ['clone', 'Repository cloned'],
  ['setup', 'Setup'],
  ['tests', 'Tests on the base'],
  ['solve', 'Agent'],
  ['prove', 'Proof in a second VM'],
];
const maxMessages = 5;

export function createProgress(lastLine: string): Progress {
  const stages: Stage[] = [...shownPhases, ['publish', lastLine] as const].map(([phase, name]) => ({ phase, name, state: 'open', durationMs: 0 }));
  const messages = new Map<string, AgentMessage>();
  const agent: AgentAt = { step: null, round: null, verdict: null };
  let trees: string[] = [];
  const lineOf = (stage: Stage): readonly string[] => [stageLine(stage, agent), ...(stage.phase === 'prove' ? treeLines(trees) : [])];
  return {
    event(event) {
      if (event.kind === 'started' || event.kind === 'done') return noteStage(stages, event);
      if (event.kind === 'step') agent.step = event;
      if (event.kind === 'proved') agent.verdict = event.proof.verdict;
      if (event.kind === 'tested') trees.push(`${event.tree}: ${testEnd(event.run)}`);
      if (event.kind !== 'round') return;
      Object.assign(agent, { round: event, verdict: null });
      trees = [];
      for (const stage of stages) if (stage.phase === 'prove') stage.state = 'open';
    },
    message: (message) => void messages.set(message.id, message),
    lines: () => [...stages.flatMap(lineOf), ...messageLines(messages)],
  };
}

/** What happens in the VM of a proof is part of the proof, and it is over when the proof is. */
function noteStage(stages: readonly Stage[], event: Extract<RunEvent, { kind: 'started' | 'done' }>): void {
  if (event.phase === 'discard') return;
  const inProof = event.vm?.startsWith('proof') === true;
  const stage = stages.find(({ phase }) => phase === (inProof ? 'prove' : event.phase));
  if (stage === undefined) return;
  if (event.kind === 'done') stage.durationMs += event.durationMs;
  if (event.kind === 'started') stage.state = 'working';
  else if (event.phase === stage.phase) stage.state = event.failed ? 'failed' : 'done';
}

interface AgentAt {
  step: { readonly number: number; readonly line: string } | null;
  round: { readonly number: number; readonly of: number } | null;
  verdict: Verdict | null;
}

function stageLine({ phase, name, state, durationMs }: Stage, { step, round, verdict }: AgentAt): string {
  const box = state === 'done' ? '- [x]' : '- [ ]';
  const what = state === 'working' ? `**${name}**` : name;
  const rounds = round === null ? '' : `, round ${round.number} of ${round.of}`;
  if (phase === 'solve' && step !== null) {
    if (state === 'working') return `${box} ${what} at step ${step.number}${rounds}${action(step.line)}`;
    return `${box} ${what}: ${step.number} ${step.number === 1 ? 'step' : 'steps'}${rounds}, ${duration(durationMs)}`;
  }
  if (phase === 'prove' && verdict !== null) return `- [x] ${name}: ${verdict.replaceAll('_', ' ')}`;
  if (state === 'failed') return `${box} ${what}: did not succeed`;
  return `${box} ${what}${state === 'done' ? ` (${duration(durationMs)})` : ''}`;
}

/** What the tools of the agent do, in a word. */
const verbs = { bash: 'runs', read: 'reads', edit: 'edits' };

/** The line begins with the name of a tool, or is what the model said. */
function action(line: string): string {
  const [, tool = '', rest = ''] = /^(\w+) (.*)$/s.exec(line) ?? [];
  if (line.startsWith('submit')) return ' hands in';
  const verb = Object.entries(verbs).find(([name]) => name === tool)?.[1];
  return verb === undefined || rest === '' ? '' : ` ${verb} ${inlineCode(rest, 60)}`;
}

const treeLines = (trees: readonly string[]): readonly string[] => trees.slice(-6).map((line) => `  - ${line}`);

function testEnd({ ended, exitCode, results, durationMs }: TestRun): string {
  const end = ended === 'exited' ? `exit code ${exitCode ?? 'none'}` : ended === 'timeout' ? 'time limit' : ended;
  const counts = results === null ? '' : `, ${results.passed} passed, ${results.failed} failed`;
  return `${end}${counts} (${duration(durationMs)})`;
}

function messageLines(messages: ReadonlyMap<string, AgentMessage>): readonly string[] {
  if (messages.size === 0) return [];
  const lines = [...messages.values()].slice(-maxMessages).map(({ login, text, givenAtStep }) => {
    const when = givenAtStep === null ? 'waits for the next step' : `given at step ${givenAtStep}`;
    return `- ${inlineCode(text, 100)} of ${inlineCode(login, 40)}: ${when}`;
  });
  return ['', 'Messages to the agent:', '', ...lines];
}
