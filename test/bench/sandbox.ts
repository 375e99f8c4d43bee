/**
 * `bench -- sandbox`: what a provider's VMs cost, beside what somebody would take instead. On a machine that others
 * use too only ratios hold, so every round takes one sample of each, one after the other.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Provider, Sandbox, SandboxInfo } from '../../src/sandbox/sandbox.ts';
import type { AlternativeSet } from './alternatives.ts';
import type { Candidate, Steps } from './candidate.ts';
import { addSample, countFailure, createSeries } from './series.ts';
import type { Series } from './series.ts';
import { bootOne, disposeOf, proportionalMib, runTrue } from './vms.ts';

export interface SandboxBench {
  readonly candidate: Candidate;
  readonly alternatives: AlternativeSet;
  readonly n: number;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export interface SandboxSeries {
  readonly info: SandboxInfo;
  readonly starting: readonly Series[];
  /** Of the boots in `starting`. */
  readonly steps: readonly Steps[];
  readonly running: readonly Series[];
  readonly together: readonly Series[];
}

const fileMib = 8;
const atOnce = 8;
/** What a VM that waits still has to do after its first command is over by then. */
const idleMs = 2000;

export async function benchSandbox(bench: SandboxBench): Promise<SandboxSeries> {
  const first = await bootOne(bench.candidate.provider, bench);
  await disposeOf(first);
  const starting = await measureStarts(bench, first.info);
  const steps = bench.candidate.steps.slice(1);
  return {
    info: first.info,
    starting: [...starting, ...(await measureHandOvers(bench))],
    steps,
    running: await measureCommands(bench),
    together: await measureTogether(bench),
  };
}

async function measureStarts({ candidate, alternatives, ...bench }: SandboxBench, info: SandboxInfo): Promise<Series[]> {
  const how = info.restored ? ['restore', 'from the template’s saved memory'] : ['start', 'from nothing: this provider has no saved memory'];
  const [start, cold, dispose] = [
    createSeries(how[0] ?? '', 'ms', `request of a VM -> its first command (/bin/true) has ended, ${how[1]}`),
    createSeries('cold boot', 'ms', 'request of a VM -> its first command has ended, from power-on'),
    createSeries('dispose', 'ms', 'call -> processes, control groups and directory are gone, and this was looked for'),
  ];
  const others = alternatives.found.map((alternative) => ({ alternative, series: createSeries(alternative.name, 'ms', alternative.span) }));
  const boot = (series: Series, provider: Provider): Promise<void> => addSample(series, bench.signal, () => bootAndDispose(provider, bench, dispose));
  for (let round = 0; round < bench.n; round += 1) {
    bench.onProgress(`starts: round ${round + 1} of ${bench.n}`);
    const whole = round % 2 === 0;
    await boot(start, candidate.provider);
    if (whole && candidate.cold) await boot(cold, candidate.cold);
    for (const { alternative, series } of others) {
      if (whole || !alternative.slow) await addSample(series, bench.signal, () => alternative.measure(bench.signal));
    }
  }
  return [start, ...(candidate.cold ? [cold] : []), ...others.map(({ series }) => series), dispose];
}

/** A VM that stands ready when it is asked for, as a worker has it. */
async function measureHandOvers({ candidate, ...bench }: SandboxBench): Promise<Series[]> {
  const handOver = createSeries('hand-over', 'ms', 'request of a VM that stands ready -> it has the time and the entropy of now');
  const first = createSeries('hand-over and first command', 'ms', 'request of a VM that stands ready -> its first command has ended');
  const pool = candidate.openPool();
  try {
    for (let round = 0; round < bench.n; round += 1) {
      bench.onProgress(`hand-overs: round ${round + 1} of ${bench.n}`);
      await pool.full();
      await pause(idleMs, undefined, { signal: bench.signal });
      const startedAt = performance.now();
      let sandbox: Sandbox | null = null;
      await addSample(handOver, bench.signal, async () => {
        sandbox = await bootOne(pool, bench);
        if (!sandbox.info.pooled) throw new Error('none stood ready');
        return performance.now() - startedAt;
      });
      const given = sandbox as Sandbox | null;
      if (given === null) continue;
      await addSample(first, bench.signal, async () => {
        await runTrue(given);
        return performance.now() - startedAt;
      });
      await disposeOf(given);
    }
  } finally {
    for (const name of await pool.drain()) countFailure(handOver, `left behind: ${name}`);
  }
  return [handOver, first];
}

async function bootAndDispose(provider: Provider, bench: Pick<SandboxBench, 'signal'>, dispose: Series): Promise<number> {
  const startedAt = performance.now();
  const sandbox = await bootOne(provider, bench);
  const bootMs = performance.now() - startedAt;
  await addSample(dispose, bench.signal, async () => {
    const disposedAt = performance.now();
    await disposeOf(sandbox);
    return performance.now() - disposedAt;
  });
  return bootMs;
}

async function measureCommands(bench: SandboxBench): Promise<Series[]> {
  const [exec, put, get] = [
    createSeries('exec round trip', 'ms', 'call of exec(["/bin/true"]) in a VM that has run commands before -> its result'),
    createSeries('put', 'MiB/s', `call of put with ${fileMib} MiB -> the file is in its place`),
    createSeries('get', 'MiB/s', `call of get for ${fileMib} MiB -> all bytes are here`),
  ];
  await using sandbox = await bootOne(bench.candidate.provider, bench);
  const content = randomBytes(fileMib * 2 ** 20);
  const throughput = async (move: () => Promise<unknown>): Promise<number> => (fileMib * 1000) / (await timed(move));
  await sandbox.put('/workspace/file', content);
  for (let round = 0; round < bench.n; round += 1) {
    bench.onProgress(`commands: round ${round + 1} of ${bench.n}`);
    await addSample(exec, bench.signal, () => timed(() => runTrue(sandbox)));
    await addSample(put, bench.signal, () => throughput(() => sandbox.put('/workspace/file', content)));
    await addSample(get, bench.signal, () => throughput(() => sandbox.get('/workspace/file', { maxBytes: content.length })));
  }
  return [exec, put, get];
}

async function measureTogether(bench: SandboxBench): Promise<Series[]> {
  const [each, all, memory] = [
    createSeries(`each of ${atOnce} at once`, 'ms', `request of ${atOnce} VMs at the same moment -> the first command of this one has ended`),
    createSeries(`all ${atOnce} at once`, 'ms', `request of ${atOnce} VMs at the same moment -> the first command of the last one has ended`),
    createSeries('memory of an idle VM', 'MiB', `proportional set size (PSS) of all processes of one VM, ${idleMs / 1000} s after ${atOnce} were started`),
  ];
  const batches = Math.ceil(bench.n / atOnce);
  for (let batch = 0; batch < batches; batch += 1) {
    bench.onProgress(`${atOnce} at once: ${batch + 1} of ${batches}`);
    const sandboxes: Sandbox[] = [];
    const startedAt = performance.now();
    const bootInto = async (): Promise<number> => {
      sandboxes.push(await bootOne(bench.candidate.provider, bench));
      return performance.now() - startedAt;
    };
    try {
      await addSample(all, bench.signal, async () => {
        await Promise.all(Array.from({ length: atOnce }, () => addSample(each, bench.signal, bootInto)));
        if (sandboxes.length < atOnce) throw new Error('not all of them started');
        return performance.now() - startedAt;
      });
      await pause(idleMs, undefined, { signal: bench.signal });
      for (const { id } of sandboxes) await addSample(memory, bench.signal, () => proportionalMib(id));
    } finally {
      const left = (await Promise.all(sandboxes.map((sandbox) => sandbox.dispose()))).flat();
      for (const name of left) countFailure(all, `left behind: ${name}`);
    }
  }
  return [each, all, memory];
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}
