/** The agent's loop as its unit tests play it. */
import { pino } from 'pino';
import { startAgent } from '../../src/agent/loop.ts';
import type { Agent, AgentLimits, AgentOptions, Attempt } from '../../src/agent/loop.ts';
import type { Task } from '../../src/agent/task.ts';
import { createBackground } from '../../src/agent/background.ts';
import { createOutputFiles } from '../../src/agent/output.ts';
import type { ToolContext } from '../../src/agent/tool.ts';
import type { Message, Question } from '../../src/model/model.ts';
import { createFakeSandbox } from './fake-sandbox.ts';
import type { FakeSandbox } from './fake-sandbox.ts';
import { aSubmission, calls, createScriptedModel } from './scripted-model.ts';
import type { PlannedReply, ScriptedModel } from './scripted-model.ts';

const limits: AgentLimits = { steps: 50, costUsd: 5, tokens: 1e6, commandTimeoutMs: 1000, softTimeMs: 1e6, hardTimeMs: 2e6 };
/** The least that an agent is asked for. */
export const task: Task = {
  title: 'Crash',
  body: 'It crashes.',
  comments: [],
  instruction: null,
  instructions: null,
  map: null,
  testCommand: null,
  baseTests: null,
  setup: [],
  remarks: [],
  slow: false,
  allowedHosts: [],
};

interface Setting {
  readonly limits?: Partial<AgentLimits>;
  readonly sandbox?: FakeSandbox;
  readonly signal?: AbortSignal;
  readonly usdPerToken?: number;
  readonly onStep?: AgentOptions['onStep'];
}

interface Played {
  readonly model: ScriptedModel;
  readonly records: Record<string, unknown>[];
  readonly agent: Agent;
  /** Its first round. */
  readonly attempt: Promise<Attempt>;
}

/** Runs the real loop on scripted replies and a sandbox in name only. */
export function play(replies: readonly PlannedReply[], setting: Setting = {}): Played {
  const model = createScriptedModel(replies, { usdPerToken: setting.usdPerToken ?? null });
  const records: Record<string, unknown>[] = [];
  const agent = startAgent({
    run: { id: 'r00000000aaaaaaa', baseSha: 'b'.repeat(40) },
    task,
    model,
    sandbox: setting.sandbox ?? createFakeSandbox(),
    limits: { ...limits, ...setting.limits },
    transcript: { file: '/nowhere', write: async (record) => void records.push(structuredClone(record)) },
    signal: setting.signal ?? new AbortController().signal,
    log: pino({ level: 'silent' }),
    ...(setting.onStep && { onStep: setting.onStep }),
  });
  return { model, records, agent, attempt: agent.work() };
}

/** What the tools get from the loop. */
export function aToolContext(changes: Partial<ToolContext> & Pick<ToolContext, 'sandbox'>): ToolContext {
  const scratch = changes.scratch ?? '/tmp/mayfly-test';
  return {
    signal: new AbortController().signal,
    commandTimeoutMs: 1000,
    leftMs: () => 1e6,
    scratch,
    keepOutput: createOutputFiles(scratch),
    background: createBackground(scratch),
    startCommit: null,
    ...changes,
  };
}

export const listing = calls(['bash', { command: 'ls' }]);
export const handIn = calls(['submit', aSubmission]);
export const different = (index: number): PlannedReply => calls(['bash', { command: `echo ${index}` }]);

export const lastMessages = (question: Question | undefined, count = 1): readonly Message[] => question?.messages.slice(-count) ?? [];
export const resultTexts = (question: Question | undefined): string[] =>
  question?.messages.flatMap((message) => (message.role === 'tool' ? message.results.map((result) => result.text) : [])) ?? [];
export const userTexts = (question: Question | undefined): string[] =>
  question?.messages.flatMap((message) => (message.role === 'user' ? [message.text] : [])) ?? [];
