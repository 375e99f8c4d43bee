/** A run as a person watches it: one line when a phase ends, one for each step of the agent. */
import type { Phase, RunEvent } from './fix/report.ts';
import { proofSentence } from './fix/proof-text.ts';
import { visible } from './fix/neutral.ts';
import type { TestRun } from './job.ts';

const names: Record<Phase, string> = {
  fetch: 'fetch',
  image: 'image',
  boot: 'boot',
  clone: 'clone',
  setup: 'setup',
  tests: 'tests',
  solve: 'agent',
  patch: 'patch',
  prove: 'proof',
  publish: 'publish',
  discard: 'discard',
};

const ended: Record<Phase, string> = {
  fetch: 'base commit is on the host',
  image: 'image of the settings is on this host',
  boot: 'VM is up: clean, no network card, no credential',
  clone: 'repository is in the VM: one pack, no remote',
  setup: 'setup commands are done',
  tests: 'tests have run once on the base, for the agent to know',
  solve: 'agent is done',
  patch: 'patch is out of the VM, as data',
  prove: 'tests have run in a second clean VM',
  publish: 'draft pull request is open',
  discard: 'VM is gone',
};

export interface Timeline {
  /** A line of the teller's own. */
  say(text: string): void;
  event(event: RunEvent): void;
}

/** Writes lines with the seconds since the start. `color` only for terminals. */
export function createTimeline(write: (line: string) => void, color: boolean): Timeline {
  const start = performance.now();
  const paint = (code: number, text: string): string => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const line = (name: string, text: string): void => {
    const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(6);
    write(`${paint(2, `${seconds} s`)}  ${paint(36, name.padEnd(8))} ${text}`);
  };
  return {
    say: (text) => line('', text),
    event(event) {
      // Guest text: one line, no escapes, bounded, before it gets near a terminal.
      if (event.kind === 'step') line(`step ${event.number}`, paint(2, clip(visible(event.line).replace(/\s+/g, ' '))));
      else if (event.kind === 'proved') line('proof', proofSentence(event.proof));
      else if (event.kind === 'round') line('agent', `the patch goes back to it (round ${event.number} of ${event.of})`);
      else if (event.kind === 'tested') line('proof', `${event.tree}: ${describeRun(event.run)}`);
      else if (event.kind === 'done') {
        const where = event.vm?.startsWith('proof') && event.phase !== 'prove' ? paint(2, 'second VM: ') : '';
        const text = event.failed ? paint(31, 'did not succeed') : ended[event.phase];
        line(names[event.phase], `${where}${text} ${paint(2, `(${duration(event.durationMs)})`)}`);
      }
    },
  };
}

const duration = (ms: number): string => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);

function describeRun({ ended: how, exitCode, results, durationMs }: TestRun): string {
  const end = how === 'exited' ? `exit code ${exitCode ?? 'none'}` : how;
  const counts = results === null ? '' : `, ${results.passed} passed, ${results.failed} failed`;
  return `${end}${counts} (${duration(durationMs)})`;
}

/** So that a step stays one line in most terminals. */
const clip = (text: string): string => (text.length <= 100 ? text : `${text.slice(0, 99)}…`);
