/** `bench -- clean`: run after run leaves words wherever it can write, and none finds a word of those before it. */
import type { Candidate } from './candidate.ts';
import { addSample, countFailure, createSeries } from './series.ts';
import type { Series } from './series.ts';
import { createCleanSlate, foreignWords } from '../support/clean-slate/clean-slate.ts';

export interface CleanBench {
  readonly candidate: Candidate;
  readonly stateDir: string;
  readonly n: number;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

/** Each turn is a sample; each word that is found, and each thing that is left, a failure. */
export async function benchClean({ candidate, stateDir, n, signal, onProgress }: CleanBench): Promise<Series[]> {
  const [booted, pooled] = [
    createSeries('run in a new VM', 'ms', 'request -> it was searched, written full and thrown away'),
    createSeries('run in a VM that stood ready', 'ms', 'the same'),
  ];
  await using slate = createCleanSlate({ provider: candidate.silent, vm: candidate.vm, stateDir, signal });
  for (let index = 0; index < n; index += 1) {
    onProgress(`runs: ${index + 1} of ${n}`);
    const series = index % 2 === 1 ? pooled : booted;
    await addSample(series, signal, async () => {
      const startedAt = performance.now();
      const turn = await slate.turn({ guard: index === 0 });
      const wrong = [...foreignWords(turn), ...turn.left, ...(turn.clockErrorMs > farthestMs ? [`the clock is wrong by ${turn.clockErrorMs} ms`] : [])];
      for (const what of wrong) countFailure(series, what);
      if (turn.planted.length < fewestPlaces || turn.own?.memory.length === 0) countFailure(series, 'words were not written, or not found where they were');
      return performance.now() - startedAt;
    });
  }
  return [booted, pooled];
}

const farthestMs = 5000;
const fewestPlaces = 25;
