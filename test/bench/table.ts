/** Figures as people read them. */
import type { Growth } from './hygiene.ts';
import type { Figures } from './series.ts';

/** A title, a row a series, and below it where each begins and ends. */
export function formatFigures(title: string, rows: readonly Figures[]): string {
  const header = ['', 'n', 'p50', 'p95', 'p99', 'worst', 'failed'];
  const cells = rows.map((row) => [
    row.name,
    String(row.n),
    ...[row.p50, row.p95, row.p99, row.max].map((value) => (value === null ? '-' : `${formatNumber(value)} ${row.unit}`)),
    String(Object.values(row.failures).reduce((sum, count) => sum + count, 0)),
  ]);
  const failures = rows.flatMap((row) => Object.entries(row.failures).map(([name, count]) => `  ${row.name}: ${count} x ${name}`));
  return [title, '', ...align([header, ...cells]), '', ...rows.map((row) => `  ${row.name}: ${row.span}`), ...failures, ''].join('\n');
}

/** A row for each thing that is counted. */
export function formatGrowth(title: string, rows: readonly Growth[]): string {
  const header = ['', 'first', 'last', 'most', 'slope per 100'];
  const show = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(2));
  const cells = rows.map(({ name, first, last, most, perHundred }) => [name, ...[first, last, most, perHundred].map(show)]);
  return [title, '', ...align([header, ...cells]), ''].join('\n');
}

/** Bars along one axis: where the time of one thing goes. Each step begins where the one before it ends. */
export function formatWaterfall(title: string, steps: readonly { readonly name: string; readonly ms: number }[]): string {
  const total = steps.reduce((sum, step) => sum + step.ms, 0);
  let before = 0;
  const rows = steps.map((step) => {
    const [from, to] = [before, before + step.ms].map((at) => Math.round((at / (total || 1)) * barWidth));
    before += step.ms;
    return [step.name, `${formatNumber(step.ms)} ms`, ' '.repeat(from ?? 0) + '█'.repeat(Math.max((to ?? 0) - (from ?? 0), 1))];
  });
  return [title, '', ...align(rows, { loose: 2 }), ''].join('\n');
}

const barWidth = 48;

/** The first columns are text, one unless told, the rest are numbers; from `loose` on, columns are as they are. */
export function align(rows: readonly (readonly string[])[], { texts = 1, loose = Number.POSITIVE_INFINITY } = {}): string[] {
  const widths = rows.reduce<number[]>((widest, row) => row.map((cell, index) => Math.max(cell.length, widest[index] ?? 0)), []);
  const pad = (cell: string, index: number): string => {
    const width = widths[index] ?? 0;
    return index < texts ? cell.padEnd(width) : index < loose ? cell.padStart(width) : cell;
  };
  return rows.map((row) => `  ${row.map(pad).join('  ')}`.trimEnd());
}

function formatNumber(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(1);
}
