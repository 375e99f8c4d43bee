/** What a probe found out about this host, kept until something that it depends on changes. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';

const Kept = z.object({ dependsOn: z.array(z.string()), holds: z.boolean() });

export interface Verdict {
  /** Null when there is none, or none for what it depends on now. */
  read(): Promise<boolean | null>;
  keep(holds: boolean): Promise<void>;
}

export function createVerdict(file: string, dependsOn: readonly string[]): Verdict {
  return {
    async read() {
      const text = await readFile(file, 'utf8').catch(() => '{}');
      const kept = Kept.safeParse(parse(text));
      return kept.success && kept.data.dependsOn.join('\0') === dependsOn.join('\0') ? kept.data.holds : null;
    },
    async keep(holds) {
      await mkdir(dirname(file), { recursive: true });
      const fresh = `${file}.${randomBytes(6).toString('hex')}`;
      await writeFile(fresh, JSON.stringify({ dependsOn, holds }));
      await rename(fresh, file);
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
