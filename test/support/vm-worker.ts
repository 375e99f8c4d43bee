/** A worker process that boots one VM, says so, and then only waits to be killed. Options come as JSON in the first argument. */
import { pino } from 'pino';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';

const { id, provider, layer, ...options } = JSON.parse(process.argv[2] ?? '{}');
const create = provider === 'oci' ? createOciProvider : createQemuProvider;
const vms = create({ ...options, log: pino({ level: 'silent' }) });
const spec = { id, signal: AbortSignal.timeout(120_000) };
setInterval(() => {}, 60_000);
if (layer === undefined) {
  await vms.boot(spec);
  process.stdout.write('booted\n');
} else {
  await vms.layers?.make(spec, layer, async () => {
    process.stdout.write('booted\n');
    await new Promise<never>(() => {});
  });
}
