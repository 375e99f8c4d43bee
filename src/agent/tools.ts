/** The four tools, and what is said to a call of another. */
import type { ToolCall, ToolSpec } from '../model/model.ts';
import { bash } from './bash.ts';
import { edit } from './edit.ts';
import { read } from './read.ts';
import { plainSubmit, submit } from './submit.ts';
import type { Task } from './task.ts';
import { malformed } from './tool.ts';
import type { ToolContext, ToolResult } from './tool.ts';

const tools = [bash, read, edit, submit];

/** As the model is shown them: the answers to a review only where there is one. */
export const specsFor = ({ reviewed }: Pick<Task, 'reviewed'>): readonly ToolSpec[] =>
  tools.map((tool) => (tool === submit && reviewed !== true ? plainSubmit : tool).spec);

/** Runs one call. Always a value, unless the sandbox is gone. */
export async function runCall(call: ToolCall, context: ToolContext): Promise<ToolResult> {
  const tool = tools.find((candidate) => candidate.spec.name === call.name);
  if (tool === undefined) {
    const names = tools.map((candidate) => candidate.spec.name).join(', ');
    return malformed(`There is no tool named ${JSON.stringify(call.name.slice(0, 100))}. The tools are: ${names}.`);
  }
  return tool.run(call.input, context);
}
