/** Looks at this machine's processes, for tests that nothing was left behind. */
import { readFile, readdir } from 'node:fs/promises';

/** `pid: command` of every process whose command line holds the text. */
export async function processesNaming(text: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(text)) found.push(`${pid}: ${command.replaceAll('\0', ' ').slice(0, 200)}`);
  }
  return found;
}
