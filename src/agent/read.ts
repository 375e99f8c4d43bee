/** The tool that shows lines of a file. */
import { z } from 'zod';
import { clipLines } from './clip.ts';
import { GuestPath, numberLines, readText } from './guest-text.ts';
import { defineTool, refuse } from './tool.ts';

const defaultLines = 400;
const maxCharacters = 32_000;

export const read = defineTool(
  {
    name: 'read',
    description: `Shows lines of a text file, each after its number and a bar. Without a range it shows the first ${defaultLines} lines.`,
    input: z.strictObject({
      path: GuestPath,
      from: z.number().int().min(1).optional().describe('First line, counted from 1.'),
      to: z.number().int().min(1).optional().describe('Last line.'),
    }),
  },
  async ({ path, from = 1, to }, context) => {
    const file = await readText(path, context);
    if (file.kind === 'refused') return file.result;
    if (file.kind === 'missing') return refuse(`${path} does not exist. Find it with bash (git ls-files, ls).`);
    const lines = file.text.replace(/\n$/, '').split('\n');
    const last = Math.min(to ?? from + defaultLines - 1, lines.length);
    if (file.text === '') return { text: `${path} is empty.`, failed: false };
    if (from > last) return refuse(`${path} has ${lines.length} lines; the range ${from} to ${to ?? 'end'} shows none of them.`);
    const shown = clipLines(numberLines(lines.slice(from - 1, last), from), maxCharacters);
    return { text: `${path}, lines ${from} to ${last} of ${lines.length}:\n${shown}`, failed: false };
  },
);
