/** The tool that ends the work. It looks once whether anything changed; the host takes the patch and makes the proof itself. */
import { z } from 'zod';
import { defineTool, refuse } from './tool.ts';
import type { Tool, ToolContext } from './tool.ts';

/** $1 is the commit at the start. Prints something when a file differs from it, committed or not, or is new and not ignored. */
const changesScript = `git diff --name-only "$1" -- | head -n 1; git ls-files --others --exclude-standard | head -n 1`;

const Input = z.strictObject({
  summary: z.string().min(1).max(20_000).describe('For the reviewer: the cause, what you changed, how you checked it. Say plainly what you are not sure of.'),
  files: z.array(z.string().max(4096)).max(200).describe('Every file that you changed, added or deleted for the fix, relative to /workspace.'),
  testCommand: z.string().max(2000).optional().describe('The command that runs the tests, from /workspace. Only used when the task names none.'),
  replies: z
    .array(z.strictObject({ comment: z.number().int(), addressed: z.boolean(), text: z.string().min(1).max(2000) }))
    .max(50)
    .optional()
    .describe('Only when the task lists review comments: one for each of them, by its number. Whether your change does what it asks, and how, or why not.'),
  resolves: z
    .boolean()
    .optional()
    .describe('True when the change does everything that the issue asks for, so that merging it may close the issue. False when a part is left.'),
  noChange: z.boolean().optional().describe('True only when the right answer is to change nothing; the summary then says why.'),
});

/** Hands in what a review asked for, with an answer to each comment. */
export const submit = defineTool(
  {
    name: 'submit',
    description: 'Hands in your work and ends the run. The host takes every change in /workspace, and runs the tests on it in another, clean machine.',
    input: Input,
  },
  async ({ summary, files, testCommand, noChange, resolves, replies = [] }, context) => {
    if (noChange !== true && !(await hasChanges(context))) {
      return refuse(
        'Nothing in /workspace has changed, so there is nothing to hand in. Make the change first, or submit with noChange and say why in the summary.',
      );
    }
    const command = testCommand?.trim() ?? '';
    const submission = {
      summary: summary.slice(0, 8000),
      files,
      testCommand: command === '' ? null : command,
      noChange: noChange === true,
      resolves: resolves === true,
      replies,
    };
    return { text: 'Handed in.', failed: false, submission };
  },
);

/** The same where no review is to be answered. */
export const plainSubmit: Tool = { ...submit, spec: { ...submit.spec, input: Input.omit({ replies: true }) } };

/** When git cannot say, the submission is let through: the host looks again. */
async function hasChanges({ sandbox, signal, startCommit }: ToolContext): Promise<boolean> {
  if (startCommit === null) return true;
  const result = await sandbox.exec(['bash', '-c', changesScript, 'bash', startCommit], { signal, timeoutMs: 60_000, maxOutputBytes: 8 * 1024 });
  return result.exitCode !== 0 || result.stderr !== '' || result.stdout.trim() !== '';
}

/** The commit that is checked out, or null. */
export async function readStartCommit({ sandbox, signal }: Pick<ToolContext, 'sandbox' | 'signal'>): Promise<string | null> {
  const result = await sandbox.exec(['git', 'rev-parse', '--verify', 'HEAD'], { signal, timeoutMs: 60_000, maxOutputBytes: 1024 });
  const sha = result.stdout.trim();
  return result.exitCode === 0 && /^[0-9a-f]{40,64}$/.test(sha) ? sha : null;
}
