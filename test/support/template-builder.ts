/** A process that builds a template and says each step. Options come as JSON in the first argument. */
import { pino } from 'pino';
import { buildTemplate } from '../../src/sandbox/template.ts';

const options = JSON.parse(process.argv[2] ?? '{}');
const onProgress = (line: string): void => void process.stdout.write(`${line}\n`);
await buildTemplate({ ...options, log: pino({ level: 'silent' }) }, { signal: AbortSignal.timeout(300_000), onProgress });
process.stdout.write('built\n');
