/** The process of a VM on the host, without a VM. */
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { startHostProcess } from '../../src/sandbox/host-process.ts';

test('of a gigabyte on its console the host keeps the end, in little memory', async () => {
  const rss = process.memoryUsage().rss;

  const loud = startHostProcess({ argv: ['sh', '-c', 'head -c 1G /dev/zero; echo the end'], cgroups: [], sockets: 0 });
  const printed = once(loud.socket(1), 'end');
  expect(await loud.exited).toEqual({ code: 0, signal: null });
  await printed;

  expect(loud.output()).toMatch(/the end\n$/);
  expect(loud.output().length).toBeLessThanOrEqual(64 * 1024);
  expect(process.memoryUsage().rss - rss).toBeLessThan(128 * 2 ** 20);
});
