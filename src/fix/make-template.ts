/** The making of repository templates: after a run, one at a time, in a VM in which no agent ever is. */
import { z } from 'zod';
import { FixError, asFixError } from '../errors.ts';
import { guestJavaStore, javaStoreScript } from '../gateway/java-store.ts';
import { startRunUsage } from '../gateway/run-usage.ts';
import { guestBundle } from '../gateway/surroundings.ts';
import type { Log } from '../log.ts';
import type { LayerMaker, LayerName, Layers, Provider, Sandbox, SandboxSpec } from '../sandbox/sandbox.ts';
import { egressOf, groupByHost } from './egress.ts';
import { createReport, createTimer } from './report.ts';
import { furnish } from './workspace.ts';
import type { WorkspaceOptions } from './workspace.ts';

/** What is noted down of a template. */
export const Notes = z.object({
  server: z.string(),
  installation: z.number(),
  repository: z.number(),
  commit: z.string(),
  /** Null in an image of the repository's own. */
  node: z.object({ version: z.string(), remark: z.string().nullable() }).nullable(),
  /** How long the run took that had no template, from boot to ready. */
  readyMs: z.number(),
});
export type Notes = z.infer<typeof Notes>;

export interface Making {
  /** Whoever asks while too many wait, or there is no memory, gets none: the next run of the repository asks again. */
  later(name: LayerName, options: WorkspaceOptions, notes: Omit<Notes, 'node'>): void;
  /** Resolves when nothing is being made. */
  idle(): Promise<void>;
  /** Ends what is being made. */
  close(): Promise<void>;
}

export interface MakingOptions {
  readonly provider: Provider;
  readonly maker: LayerMaker;
  readonly layers: Layers;
  /** Hears of what the next run will begin with. */
  readonly onKept: (spec: Omit<SandboxSpec, 'id' | 'signal'>) => void;
  /** Memory that this host can still give, in MiB. */
  readonly availableMib: () => number;
  readonly log: Log;
}

const maxWaiting = 4;
const maxLoggedHosts = 100;

export function createMaking(making: MakingOptions): Making {
  const { maker, layers, onKept, availableMib, log } = making;
  const closing = new AbortController();
  const { signal } = closing;
  const waiting = new Set<string>();
  let last: Promise<void> = Promise.resolve();
  const make: (...asked: Parameters<Making['later']>) => Promise<void> = async (name, options, notes) => {
    if (signal.aborted || availableMib() < options.plan.sandbox.memoryMib) return;
    const startedAt = performance.now();
    const report = createReport(options.report.runId);
    const own = { ...options, report, timed: createTimer({ report, onEvent: () => {} }), signal };
    const keeping = { largestBytes: maker.largestBytes(machineOf(options)), signal };
    const kept = await layers.keep(name, keeping, async (file): Promise<Notes> => ({
      ...notes,
      node: await makeKept(making, { options: own, file }),
    }));
    if (kept === null) return;
    log.info({ ...notes, durationMs: Math.round(performance.now() - startedAt) }, 'repository template is ready');
    onKept({ ...machineOf(options), layer: kept });
  };
  return {
    later(name, options, notes) {
      if (signal.aborted || waiting.size >= maxWaiting || waiting.has(name.place)) return;
      waiting.add(name.place);
      // The run's own hold is over by the time that it is made.
      const image = options.image?.share() ?? null;
      const makeOrTell = async (): Promise<void> => {
        try {
          await using _held = image;
          await make(name, { ...options, image }, notes);
        } catch (thrown) {
          const err = asFixError(thrown);
          if (!signal.aborted) log.warn({ err, code: err.code, details: err.details, ...notes }, 'repository template could not be made');
        } finally {
          waiting.delete(name.place);
        }
      };
      last = last.then(makeOrTell);
    },
    idle: () => last,
    async close() {
      closing.abort(new FixError('cancelled'));
      await last;
    },
  };
}

const machineOf = ({ plan, image }: WorkspaceOptions) => ({ size: plan.sandbox, ...(image && { image }) });

/** Clone and setup in a VM whose disk becomes `file`; then a VM has to wake up with it. */
async function makeKept({ provider, maker, log }: MakingOptions, { options, file }: { options: WorkspaceOptions; file: string }): Promise<Notes['node']> {
  const { plan, report, signal } = options;
  const gateway = options.openGateway('setup', plan.allow.setup, startRunUsage());
  const machine = { ...machineOf(options), signal };
  let node: Notes['node'] = null;
  try {
    await maker.make({ ...machine, id: `${report.runId}-layer` }, file, async (sandbox) => {
      node = await furnish(sandbox, gateway, options);
      await forgetCertificates(sandbox, options);
    });
  } finally {
    await gateway.close();
    // No report is about this VM.
    log.info(
      { runId: report.runId, egress: groupByHost(egressOf(gateway, 'layer')).slice(0, maxLoggedHosts) },
      'what the VM of a repository template asked for',
    );
  }
  const sandbox = await provider.boot({ ...machine, id: `${report.runId}-layer-check`, layer: file });
  const left = await sandbox.dispose();
  if (left.length > 0) throw new FixError('sandbox_leftover', { details: { left } });
  return node;
}

// Each certificate of the bundle whose lines are all in the file goes; `update-ca-certificates` takes a minute under
// emulation, and of the programs that could do it an image need have no other than its shell.
const forgetScript = `
[ -e "$1" ] || exit 0
declare -A own
while IFS= read -r line || [ -n "$line" ]; do own[=$line]=1; done < "$1"
while IFS= read -r line || [ -n "$line" ]; do
  case $inside$line in
    -----BEGIN*) block=$line other= inside=+ ;;
    +-----END*) inside=; [ -z "$other" ] || printf '%s\n' "$block" "$line" || exit ;;
    +*) block+=$'\n'$line; [ -n "\${own[=$line]-}" ] || other=1 ;;
    *) [ -n "\${own[=$line]-}" ] || printf '%s\n' "$line" || exit ;;
  esac
done < "$2" > "$2.new" && cat "$2.new" > "$2" && rm "$1" "$2.new" || exit
[ ! -e "$3" ] || ! command -v python3 > /dev/null || python3 -c "$4" "$2" "$3"`;

/** What one guest was told to trust, the next one is told anew, or not; Java reads a store of its own, which is made of the bundle. */
async function forgetCertificates(sandbox: Sandbox, { surroundings, signal }: WorkspaceOptions): Promise<void> {
  const result = await sandbox.exec(['bash', '-c', forgetScript, 'bash', surroundings.install.path, guestBundle, guestJavaStore, javaStoreScript], {
    user: 'root',
    cwd: '/',
    signal,
    timeoutMs: 120_000,
  });
  if (result.exitCode !== 0) throw new FixError('sandbox_boot', { details: { step: 'certificates', stderr: result.stderr.slice(-2000) } });
}
