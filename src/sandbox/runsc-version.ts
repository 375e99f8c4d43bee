/** Which gVisor a host has. Upstream prints `runsc version release-20240729.0`, Debian `runsc version 0.0~20240729.0`. */
import { execa } from 'execa';

/** Older ones cannot run `ls` of today's coreutils, or do not know systrap. */
export const oldestRunsc = 20_240_729;

/** The release as a date, or null when this is not what a release of runsc prints. */
export function parseRunscVersion(printed: string): number | null {
  const [, date] = /^runsc version .*?(20\d{6})\b/.exec(printed) ?? [];
  return date === undefined ? null : Number(date);
}

/** What `runsc --version` prints; null when there is no runsc. */
export async function askRunscVersion(signal: AbortSignal): Promise<string | null> {
  const asked = await execa('runsc', ['--version'], { reject: false, stdin: 'ignore', cancelSignal: signal, forceKillAfterDelay: 1000 });
  return asked.code === 'ENOENT' ? null : asked.stdout;
}
