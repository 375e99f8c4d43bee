/** Turns for a test with one worker, which waits for nobody. */
import type { InTurn } from '../../src/queue/turns.ts';

export const alone: InTurn = async (_name, _signal, work) => await work();
