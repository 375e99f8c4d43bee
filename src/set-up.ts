/** `mayfly setup` and `mayfly image build`: wiring between the host's programs, the template builder and the terminal. */
import type { CommandContext } from './command-line.ts';
import { ensureTemplate } from './run-tools.ts';
import { runSetup } from './setup/setup.ts';

/** Idempotent; a second time takes well under a second. */
export async function setUp({ config, log, signal }: CommandContext): Promise<void> {
  await runSetup({
    mode: config.MAYFLY_SETUP,
    wantsImages: config.MAYFLY_IMAGE_REGISTRIES.length > 0,
    searchPath: config.PATH,
    terminal: process.stderr,
    buildTemplate: (onProgress, buildSignal) => ensureTemplate(config, log, { onProgress, signal: buildSignal }),
    signal,
  });
}

export async function buildImage({ config, log, signal }: CommandContext, { json }: { json: boolean }): Promise<void> {
  const template = await ensureTemplate(config, log, { onProgress: (line) => console.error(line), signal });
  if (json) console.log(JSON.stringify(template));
  else console.log(`Guest template: ${template.directory} (${template.accel})`);
}
