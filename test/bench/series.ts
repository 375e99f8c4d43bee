/** What is measured, and the figures of it. A sample that fails is counted under its name and never taken again. */
import { FixError } from '../../src/errors.ts';

export interface Series {
  readonly name: string;
  /** Where a sample begins and ends. */
  readonly span: string;
  readonly unit: 'ms' | 'MiB' | 'MiB/s';
  readonly samples: number[];
  /** How often each kind of failure was seen. */
  readonly failures: Map<string, number>;
}

export interface Figures {
  readonly name: string;
  readonly span: string;
  readonly unit: Series['unit'];
  readonly n: number;
  /** Nearest rank. A percentile that the number of samples cannot show is null. */
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly max: number | null;
  readonly failures: Readonly<Record<string, number>>;
}

export function createSeries(name: string, unit: Series['unit'], span: string): Series {
  return { name, unit, span, samples: [], failures: new Map() };
}

/** Adds what `take` resolves to, or the name of its failure. Only a cancelled measurement throws. */
export async function addSample(series: Series, signal: AbortSignal, take: () => Promise<number>): Promise<void> {
  signal.throwIfAborted();
  try {
    series.samples.push(await take());
  } catch (thrown) {
    signal.throwIfAborted();
    countFailure(series, nameFailure(thrown));
  }
}

export function countFailure(series: Series, name: string): void {
  series.failures.set(name, (series.failures.get(name) ?? 0) + 1);
}

function nameFailure(thrown: unknown): string {
  if (thrown instanceof FixError) {
    const { why } = thrown.details as { why?: unknown };
    return typeof why === 'string' ? `${thrown.code}: ${why}` : thrown.code;
  }
  return thrown instanceof Error ? (thrown.message.split('\n', 1)[0] ?? thrown.name) : String(thrown);
}

/** Each percentile needs enough samples above it to mean something. */
const enough = { p50: 1, p95: 20, p99: 100 } as const;

export function figuresOf(series: Series): Figures {
  // Of a throughput the bad end is the low one.
  const worstLast = series.samples.toSorted((left, right) => (series.unit === 'MiB/s' ? right - left : left - right));
  const n = worstLast.length;
  const rank = (percent: number, needed: number): number | null => (n < needed ? null : (worstLast[Math.ceil((percent / 100) * n) - 1] ?? null));
  const { name, span, unit } = series;
  return {
    name,
    span,
    unit,
    n,
    p50: rank(50, enough.p50),
    p95: rank(95, enough.p95),
    p99: rank(99, enough.p99),
    max: worstLast.at(-1) ?? null,
    failures: Object.fromEntries(series.failures),
  };
}
