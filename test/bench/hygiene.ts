/** What this process and its VMs hold of the host, in numbers that must not grow from run to run. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { findLoops } from '../../src/sandbox/capped-disk.ts';
import { idPrefix } from './vms.ts';

/** Names say what is counted; memory in MiB. */
export type Holdings = Readonly<Record<string, number>>;

/** Linear growth over a series of runs. */
export interface Growth {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  readonly most: number;
  /** Slope of the straight line that fits best, by least squares. */
  readonly perHundred: number;
}

/** After a collection of garbage, and a moment in which the kernel lets go of what it frees later. */
export async function takeHoldings(stateDir: string): Promise<Holdings> {
  await pause(settleMs);
  collectGarbage();
  const { rss, heapUsed, external } = process.memoryUsage();
  const mib = (bytes: number): number => bytes / 2 ** 20;
  return {
    'resident memory, MiB': mib(rss),
    'memory of JavaScript objects, MiB': mib(heapUsed + external),
    'handles and timers': process.getActiveResourcesInfo().length,
    'open files and sockets': (await readdir('/proc/self/fd')).length,
    processes: await countDescendants(),
    mounts: (await readText('/proc/self/mountinfo')).split('\n').length - 1,
    'loop devices': (await findLoops(stateDir)).length,
    'control groups': await countGroups(),
    'files and directories': (await readdir(stateDir, { recursive: true })).length,
  };
}

const settleMs = 200;

/** https://nodejs.org/api/cli.html#--expose-gc; this way needs no flag on the command line. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let round = 0; round < 3; round += 1) collect();
}

const readText = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');

/** Zombies as well. */
async function countDescendants(): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const parents = new Map(
    await Promise.all(
      pids.map(async (pid): Promise<[number, number]> => [Number(pid), Number(/^PPid:\s+(\d+)$/m.exec(await readText(`/proc/${pid}/status`))?.[1] ?? 0)]),
    ),
  );
  const isOurs = (pid: number): boolean => {
    const parent = parents.get(pid) ?? 0;
    return parent === process.pid || (parent > 1 && isOurs(parent));
  };
  return [...parents.keys()].filter(isOurs).length;
}

async function countGroups(): Promise<number> {
  const mounts = (await readText('/proc/self/mounts')).split('\n').map((line) => line.split(' '));
  const directories = mounts.filter(([, , type]) => type === 'cgroup' || type === 'cgroup2').map(([, directory = '']) => join(directory, 'mayfly'));
  const names = await Promise.all(directories.map((directory) => readdir(directory).catch(() => [])));
  return names.flat().filter((name) => name.startsWith(idPrefix)).length;
}

export interface Sample {
  /** Runs before it. */
  readonly after: number;
  readonly holdings: Holdings;
}

export function growthOf(samples: readonly Sample[]): Growth[] {
  return Object.keys(samples[0]?.holdings ?? {}).map((name) => {
    const points = samples.map(({ after, holdings }) => ({ x: after, y: holdings[name] ?? 0 }));
    const values = points.map(({ y }) => y);
    return { name, first: values[0] ?? 0, last: values.at(-1) ?? 0, most: Math.max(...values), perHundred: 100 * slope(points) };
  });
}

function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map((point) => point.x)), mean(points.map((point) => point.y))];
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0);
  return spread === 0 ? 0 : points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) / spread;
}
