/** The guest of a run whose settings name an image. */
import { asFixError } from '../errors.ts';
import type { FixOutcome } from '../job.ts';
import type { HeldImage } from '../sandbox/sandbox.ts';
import type { Plan } from './plan.ts';
import { createTimer } from './report.ts';
import type { RunRequest, RunTools } from './run-request.ts';

/** What the settings name in the place of the template; null when they name nothing. What no VM can be made of ends the run. */
export async function prepareImage(request: RunRequest, { guestImages }: RunTools, plan: Plan): Promise<HeldImage | (FixOutcome & { kind: 'refused' }) | null> {
  const { signal, log } = request;
  const name = plan.sandbox.image;
  if (name === null) return null;
  const onProgress = (line: string): void => log.info({ image: name, line }, 'image');
  try {
    return await createTimer(request)('image', () => guestImages.prepare(name, { repository: request.repository ?? null, signal, onProgress }));
  } catch (thrown) {
    const { code, details } = asFixError(thrown);
    if (code !== 'image_unsuitable' || signal.aborted) throw thrown;
    log.info({ image: name, ...details }, 'no VM can be made of the image of the settings');
    return { kind: 'refused', reason: 'image', detail: `${name}: ${String(details['why'])}` };
  }
}
