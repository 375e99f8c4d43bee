/** A worker process that boots one VM, says so, and then only waits to be killed. Options come as JSON in the first argument. */
import { pino } from 'pino';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';

const { id, provider, ...options } = JSON.parse(process.argv[2] ?? '{}');
const create = provider === 'oci' ? createOciProvider : createQemuProvider;
await create({ ...options, log: pino({ level: 'silent' }) }).boot({ id, signal: AbortSignal.timeout(120_000) });
process.stdout.write('booted\n');
setInterval(() => {}, 60_000);
