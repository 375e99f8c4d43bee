/** `bench -- clean`: run after run leaves words wherever it can write, and none finds a word of those before it. */
import type { Candidate } from './candidate.ts';
import { addSample, countFailure, createSeries } from './series.ts';
import type { Series } from './series.ts';
import { createCleanSlate, foreignWords, startOf } from '../support/clean-slate/clean-slate.ts';
import type { Start } from '../support/clean-slate/clean-slate.ts';

export interface CleanBench {
  readonly candidate: Candidate;
  readonly stateDir: string;
  readonly n: number;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

/** Each turn is a sample; each word that is found, and each thing that is left, a failure. */
export async function benchClean({ candidate, stateDir, n, signal, onProgress }: CleanBench): Promise<Series[]> {
  const series: Readonly<Record<Start, Series>> = {
    new: createSeries('run in a new VM', 'ms', 'request -> it was searched, written full and thrown away, and the template of its repository made'),
    ready: createSeries('run in a VM that stood ready', 'ms', 'request -> it was searched, written full and thrown away'),
    kept: createSeries('run from a repository template', 'ms', 'the same, with the template searched as well'),
  };
  await using slate = createCleanSlate({ provider: candidate.silent, vm: candidate.vm, stateDir, signal });
  for (let index = 0; index < n; index += 1) {
    onProgress(`runs: ${index + 1} of ${n}`);
    const ofStart = series[startOf(index)];
    await addSample(ofStart, signal, async () => {
      const startedAt = performance.now();
      const turn = await slate.turn({ guard: index === 0 });
      const wrong = [...foreignWords(turn), ...turn.left, ...(turn.clockErrorMs > farthestMs ? [`the clock is wrong by ${turn.clockErrorMs} ms`] : [])];
      if (turn.start !== startOf(index)) wrong.push(`its VM was ${turn.start}`);
      for (const what of wrong) countFailure(ofStart, what);
      if (turn.planted.length < fewestPlaces || turn.own?.memory.length === 0) countFailure(ofStart, 'words were not written, or not found where they were');
      return performance.now() - startedAt;
    });
  }
  return Object.values(series);
}

const farthestMs = 5000;
const fewestPlaces = 25;
