/** What a tool is: a description and a schema for the model, and something to do in the sandbox. */
import { z } from 'zod';
import type { ToolSpec } from '../model/model.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { Background } from './background.ts';
import type { KeepOutput } from './output.ts';
import type { Submission } from './submission.ts';

export interface ToolContext {
  readonly sandbox: Sandbox;
  readonly signal: AbortSignal;
  readonly commandTimeoutMs: number;
  /** What is left of the run's time. */
  readonly leftMs: () => number;
  /** The beginning of the paths of our own files in the guest, outside of the workspace: the shell's state, outputs. */
  readonly scratch: string;
  readonly keepOutput: KeepOutput;
  readonly background: Background;
  /** The commit that was checked out when the agent began; null when the workspace is no repository. */
  readonly startCommit: string | null;
}

/** What the model is told. `malformed`: the call could not even be tried. `submission`: the agent is done. */
export interface ToolResult {
  readonly text: string;
  readonly failed: boolean;
  readonly malformed?: boolean;
  readonly submission?: Submission;
  /** Of a command, for the transcript. */
  readonly durationMs?: number;
  readonly exitCode?: number | null;
}

export interface Tool {
  readonly spec: ToolSpec;
  run(input: unknown, context: ToolContext): Promise<ToolResult>;
}

/** A tool that checks its input before it runs; a wrong input teaches. */
export function defineTool<Schema extends z.ZodType>(
  spec: { readonly name: string; readonly description: string; readonly input: Schema },
  run: (input: z.infer<Schema>, context: ToolContext) => Promise<ToolResult>,
): Tool {
  return {
    spec,
    async run(input, context) {
      const parsed = spec.input.safeParse(input);
      return parsed.success ? run(parsed.data, context) : malformed(`The call of ${spec.name} was not run. ${explain(input, parsed.error)}`);
    },
  };
}

/** An answer that says what to do differently. */
export function refuse(text: string): ToolResult {
  return { text, failed: true };
}

export function malformed(text: string): ToolResult {
  return { text, failed: true, malformed: true };
}

function explain(input: unknown, error: z.ZodError): string {
  if (typeof input === 'string') return `Its input is not valid JSON; it begins with: ${input.slice(0, 200)}`;
  return `Its input is wrong:\n${z.prettifyError(error).slice(0, 1000)}`;
}
