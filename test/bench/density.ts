/** `bench -- density`: how many VMs this machine holds, how many it starts at once, and whether many in a row leave anything. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Sandbox, SandboxInfo } from '../../src/sandbox/sandbox.ts';
import type { Candidate } from './candidate.ts';
import { growthOf, takeHoldings } from './hygiene.ts';
import type { Growth, Sample } from './hygiene.ts';
import { addSample, countFailure, createSeries } from './series.ts';
import type { Series } from './series.ts';
import { bootOne, countedMib, disposeOf, proportionalMib, runTrue } from './vms.ts';

export interface DensityBench {
  readonly candidate: Candidate;
  readonly stateDir: string;
  /** Runs in a row. */
  readonly n: number;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export interface DensityResult {
  readonly info: SandboxInfo;
  readonly alive: readonly Series[];
  readonly rush: readonly Series[];
  readonly row: Series;
  readonly growth: readonly Growth[];
}

const aliveAtOnce = 20;
const rushOf = 16;
/** What a VM that waits still has to do after its first command is over by then. */
const idleMs = 2000;
/** The first runs fill caches that are there for all later ones. */
const warmUpRuns = 10;
const samplesOfRow = 25;

export async function benchDensity(bench: DensityBench): Promise<DensityResult> {
  const first = await bootOne(bench.candidate.provider, bench);
  await disposeOf(first);
  return { info: first.info, alive: await measureAlive(bench), rush: await measureRush(bench), ...(await measureRow(bench)) };
}

async function measureAlive(bench: DensityBench): Promise<Series[]> {
  const when = `${idleMs / 1000} s after the first command of the last of ${aliveAtOnce} VMs`;
  const [each, all, counted] = [
    createSeries('memory of each', 'MiB', `proportional set size (PSS) of its processes, ${when}`),
    createSeries(`memory of all ${aliveAtOnce}`, 'MiB', 'the sum of these'),
    createSeries(`counted by control groups`, 'MiB', 'what the kernel counts against the limits of all of them, with the files that they read first and wrote'),
  ];
  await withVms(all, async (sandboxes) => {
    for (let index = 0; index < aliveAtOnce; index += 1) {
      bench.onProgress(`alive: ${index + 1} of ${aliveAtOnce}`);
      sandboxes.push(await bootOne(bench.candidate.provider, bench));
    }
    await pause(idleMs, undefined, { signal: bench.signal });
    for (const sandbox of sandboxes) await runTrue(sandbox); // all of them are alive
    for (const { id } of sandboxes) await addSample(each, bench.signal, () => proportionalMib(id));
    await addSample(all, bench.signal, () => Promise.resolve(each.samples.reduce((sum, mib) => sum + mib, 0)));
    await addSample(counted, bench.signal, async () => (await Promise.all(sandboxes.map(({ id }) => countedMib(id)))).reduce((sum, mib) => sum + mib, 0));
  });
  return [each, all, counted];
}

async function measureRush(bench: DensityBench): Promise<Series[]> {
  const span = `request of ${rushOf} VMs at the same moment -> the first command of`;
  const [each, last] = [
    createSeries(`each of ${rushOf} at once`, 'ms', `${span} this one`),
    createSeries(`all ${rushOf} at once`, 'ms', `${span} the last one`),
  ];
  bench.onProgress(`${rushOf} at once`);
  await withVms(last, async (sandboxes) => {
    const startedAt = performance.now();
    const boot = async (): Promise<number> => {
      sandboxes.push(await bootOne(bench.candidate.provider, bench));
      return performance.now() - startedAt;
    };
    await addSample(last, bench.signal, async () => {
      await Promise.all(Array.from({ length: rushOf }, () => addSample(each, bench.signal, boot)));
      if (sandboxes.length < rushOf) throw new Error('not all of them started');
      return performance.now() - startedAt;
    });
  });
  return [each, last];
}

/** Boot, one command, dispose, again and again. */
async function measureRow({ candidate, stateDir, n, signal, onProgress }: DensityBench): Promise<{ row: Series; growth: Growth[] }> {
  const row = createSeries(`each of ${n} in a row`, 'ms', 'request of a VM -> its first command has ended and nothing of it is left');
  const run = async (): Promise<number> => {
    const startedAt = performance.now();
    await disposeOf(await bootOne(candidate.provider, { signal }));
    return performance.now() - startedAt;
  };
  const samples: Sample[] = [];
  const sample = async (after: number): Promise<void> => void samples.push({ after, holdings: await takeHoldings(stateDir) });
  for (let index = 0; index < warmUpRuns; index += 1) await run();
  const every = Math.max(1, Math.floor(n / samplesOfRow));
  for (let index = 0; index < n; index += 1) {
    onProgress(`in a row: ${index + 1} of ${n}`);
    if (index % every === 0) await sample(index);
    await addSample(row, signal, run);
  }
  await sample(n);
  return { row, growth: growthOf(samples) };
}

/** Throws all of them away in the end, at once; what is left of one is a failure of the series. */
async function withVms(series: Series, use: (sandboxes: Sandbox[]) => Promise<void>): Promise<void> {
  const sandboxes: Sandbox[] = [];
  try {
    await use(sandboxes);
  } finally {
    const left = (await Promise.all(sandboxes.map((sandbox) => sandbox.dispose()))).flat();
    for (const name of left) countFailure(series, `left behind: ${name}`);
  }
}
