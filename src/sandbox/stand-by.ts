/**
 * A VM that waits for a run. While it waits its clock and its random pool grow old, so it is thawed a second time when it
 * is handed over; the program that does it in the guest stands ready, as its start would be most of what that takes.
 */
import { PassThrough, Writable } from 'node:stream';
import { FixError } from '../errors.ts';
import type { Sandbox } from './sandbox.ts';
import { thawAgainMessage } from './thaw.ts';

/** A VM that is there and does not answer within this is none to give to anybody. */
const answerMs = 5_000;
/** Nobody waits for its first command yet. */
const firstMs = 30_000;
const maxAnswerBytes = 256;

/** Gives the guest the time and the entropy of now. Once; throws `sandbox_thaw`, `sandbox_lost`. */
export type HandOver = () => Promise<void>;

/** Resolves when the VM can be handed over at once, and its next command begin at once. Throws `sandbox_thaw`, `sandbox_lost`, `cancelled`. */
export async function standBy(sandbox: Sandbox, signal: AbortSignal): Promise<HandOver> {
  // A guest of gVisor has the host's own clock and random numbers: nothing of it grows old.
  const growsOld = sandbox.info.isolation !== 'syscall';
  // Once for rehearsal: under emulation, code that runs for the first time is translated first, which was 7 of 17 ms.
  if (growsOld) await prepareThaw(sandbox)();
  const thawAgain = growsOld ? prepareThaw(sandbox) : () => Promise.resolve();
  // The sessions that the hand-over and the next command take are open once a command has gone through beside the waiting one.
  // Of a kept disk or an image, anybody may have made its programs.
  const first = await sandbox.exec(['/bin/true'], { cwd: '/', timeoutMs: firstMs, signal });
  if (first.ended === 'cancelled') throw new FixError('cancelled');
  if (first.exitCode !== 0) throw new FixError('sandbox_thaw', { details: { why: 'a command failed', first } });
  return async () => {
    sandbox.lost.throwIfAborted();
    await thawAgain();
  };
}

/** The program that does it is there, and waits for its message. */
function prepareThaw(sandbox: Sandbox): HandOver {
  const message = new PassThrough();
  const { line, sink } = readOneLine();
  const over = sandbox.exec(['/usr/lib/mayfly/init', '--again', 'machine'], { user: 'root', cwd: '/', stdin: message, stdout: sink });
  over.catch(() => {}); // whoever hands over, or disposes, learns of it
  return async () => {
    // Its end comes later: the guest would take it in before it answers.
    message.write(thawAgainMessage(Date.now()));
    const late = AbortSignal.timeout(answerMs);
    const said = await Promise.race([line, over.then(({ stderr }) => `it ended: ${stderr.slice(-200)}`), aborted(late)]);
    message.end();
    if (said !== 'ok') throw new FixError('sandbox_thaw', { details: { why: said } });
  };
}

function aborted(signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve('it did not answer in time'), { once: true }));
}

function readOneLine(): { readonly line: Promise<string>; readonly sink: Writable } {
  const { promise: line, resolve } = Promise.withResolvers<string>();
  let text = '';
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text = `${text}${chunk.toString('latin1')}`.slice(0, maxAnswerBytes);
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
      done();
    },
  });
  return { line, sink };
}
