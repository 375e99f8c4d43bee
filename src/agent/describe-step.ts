/** One line for people who watch: what a reply does. */
import type { Reply } from '../model/model.ts';
import { plainText } from './clip.ts';
import { visibleText } from './visible.ts';

/** So that a step stays one line in most terminals. */
const maxStepChars = 100;

/** Model text: cleaned and short. */
export function describeStep({ toolCalls, text }: Reply): string {
  // Handing in is what a person looks for, whatever comes before it.
  const first = toolCalls.find(({ name }) => name === 'submit') ?? toolCalls[0];
  const others = toolCalls.length - 1;
  const what = first === undefined ? text : `${first.name} ${describeInput(first.input)}`;
  const more = others <= 0 ? '' : ` (and ${others} more)`;
  const line = visibleText(plainText(what)).text.replace(/\s+/g, ' ').trim();
  const room = maxStepChars - more.length;
  return (line.length <= room ? line : `${line.slice(0, room - 1)}…`) + more;
}

function describeInput(input: unknown): string {
  const { command, path, summary } = (typeof input === 'object' && input !== null ? input : {}) as Record<string, unknown>;
  const shown = command ?? path ?? summary;
  return typeof shown === 'string' ? shown.slice(0, 400) : '';
}
