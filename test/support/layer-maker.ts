/** A process that begins to keep a disk, says so, and then only waits to be killed. Options come as JSON in the first argument. */
import { writeFile } from 'node:fs/promises';
import { pino } from 'pino';
import { createLayers } from '../../src/sandbox/layers.ts';

const { directory, name } = JSON.parse(process.argv[2] ?? '{}');
await createLayers({ directory, maxBytes: 2 ** 30, reserveBytes: 0, log: pino({ level: 'silent' }) }).keep(
  name,
  { largestBytes: 0, signal: AbortSignal.timeout(60_000) },
  async (file) => {
    await writeFile(file, 'half of it');
    process.stdout.write('begun\n');
    setInterval(() => {}, 60_000);
    return await new Promise<never>(() => {});
  },
);
