/** What the agent is told when the host's proof went against its patch. */
import { clipLines, plainText } from './clip.ts';
import { pickFence } from './prompt.ts';

export interface Setback {
  readonly command: string;
  /** Why, as the rest of a sentence; the host's words. */
  readonly reason: string;
  readonly baseExitCode: number | null;
  readonly patchedExitCode: number | null;
  /** Names of tests. Hostile text, as the output is. */
  readonly broken: readonly string[];
  readonly output: string;
  /** What the proof took from the base instead of from the patch, and the like; sentences. */
  readonly remarks: readonly string[];
}

const maxOutputCharacters = 12_000;
const maxNames = 30;

/** The next message of the host: the work goes on in the same machine. */
export function setbackMessage({ command, reason, baseExitCode, patchedExitCode, broken, output, remarks }: Setback): string {
  const names = broken.slice(0, maxNames).join('\n');
  const shown = clipLines(plainText(output).trimEnd(), maxOutputCharacters);
  const fence = pickFence(`${command}\n${names}\n${shown}\n${remarks.join('\n')}`);
  const sections = [
    `Your patch was not taken: ${reason}.`,
    `The host ran this in a second, clean machine. Exit code ${baseExitCode ?? 'none'} on the base, ${patchedExitCode ?? 'none'} with your patch:\n${fence('command', command)}`,
    names === '' ? '' : `Tests that fail with it only:\n${fence('tests', names)}`,
    ...(remarks.length === 0 ? [] : [fence('remarks', remarks.join('\n'))]),
    `Its output:\n${fence('output', shown)}`,
    'Your work is still in /workspace. Find out why (if the tests load something that was built, it was built of your tree), mend the cause, run the wider suite, and call submit again. If the behaviour that such a test asks for is what the issue wants changed, change the test and say so in the summary.',
  ];
  return sections.filter((text) => text !== '').join('\n\n');
}
