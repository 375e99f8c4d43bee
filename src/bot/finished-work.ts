/**
 * Finished work is kept until it is published: when GitHub does not take it, or a worker dies on the way, the next
 * attempt begins there and no agent works again.
 */
import { z } from 'zod';
import { asFixError } from '../errors.ts';
import type { RunReport } from '../fix/report.ts';
import { PinnedPull } from '../job.ts';
import type { FixJob, PatchFile } from '../job.ts';
import type { Log } from '../log.ts';
import type { Ready } from './work.ts';

/** Where it lies; encrypted, bounded in size and time. */
export interface Vault {
  /** False when it is too large. */
  keep(id: string, value: unknown): Promise<boolean>;
  /** Null when there is none that was kept by us. */
  recall(id: string): Promise<unknown>;
  drop(id: string): Promise<void>;
}

export interface FinishedWork {
  /** That another attempt costs nothing that was spent already. */
  readonly isKept: boolean;
  /** The same, for what is kept elsewhere. */
  noteKept(): void;
  keep(job: FixJob, ready: Ready, report: RunReport): Promise<void>;
  /** What an earlier attempt has finished, and the head that it is for; its report goes into this one. */
  recall(report: RunReport): Promise<{ readonly ready: Ready; readonly pull: FixJob['pull'] } | null>;
  drop(): Promise<void>;
}

/** Of the shape of what is kept: work of another version is done anew. */
const shape = 1;

/** Written by us and authenticated, so what is within the parts needs no second look. */
const part = <T>() => z.custom<T>((value) => typeof value === 'object' && value !== null);

const File = z.object({ path: z.string(), mode: z.enum(['100644', '100755']).nullable(), base64: z.base64() });
const Kept = z.object({
  shape: z.literal(shape),
  pull: PinnedPull.nullable(),
  plan: part<Ready['plan']>(),
  baseSha: z.string(),
  files: z.array(File).min(1),
  report: part<Omit<RunReport, 'tokens' | 'patch' | 'outcome'>>(),
});

export function openFinishedWork(runId: string, vault: Vault, log: Log): FinishedWork {
  let isKept = false;
  return {
    get isKept() {
      return isKept;
    },
    noteKept: () => void (isKept = true),
    async keep({ pull }, { patch, plan }, { tokens: _tokens, patch: _patch, outcome: _outcome, ...report }) {
      const kept: z.infer<typeof Kept> = { shape, pull, plan, baseSha: patch.baseSha, files: patch.files.map(packFile), report };
      try {
        isKept = await vault.keep(runId, kept);
        if (!isKept) log.warn('the finished work is too large to be kept until it is published');
      } catch (thrown) {
        log.warn({ err: asFixError(thrown) }, 'the finished work could not be kept until it is published');
      }
    },
    async recall(report) {
      const kept = Kept.safeParse(await vault.recall(runId)).data;
      if (kept === undefined) return null;
      isKept = true;
      const patch = { baseSha: kept.baseSha, files: kept.files.map(unpackFile) };
      Object.assign(report, kept.report, { patch });
      log.info('finished work of an earlier attempt is taken up');
      return { ready: { kind: 'ready', patch, plan: kept.plan }, pull: kept.pull };
    },
    drop: async () => await vault.drop(runId).catch((thrown: unknown) => log.warn({ err: asFixError(thrown) }, 'finished work lies on until its time is over')),
  };
}

const packFile = ({ path, change }: PatchFile): z.infer<typeof File> =>
  change.kind === 'delete' ? { path, mode: null, base64: '' } : { path, mode: change.mode, base64: Buffer.from(change.content).toString('base64') };

const unpackFile = ({ path, mode, base64 }: z.infer<typeof File>): PatchFile => ({
  path,
  change: mode === null ? { kind: 'delete' } : { kind: 'write', mode, content: Buffer.from(base64, 'base64') },
});
