/** `mayfly setup`: brings what the host lacks, then the guest template. Running it again costs next to nothing. */
import { FixError } from '../errors.ts';
import { readFacts } from './facts.ts';
import type { HostFacts } from './facts.ts';
import { asShellLine, runSteps } from './install.ts';
import { planSetup } from './plan.ts';
import type { Missing, Plan } from './plan.ts';
import { createProgress } from './progress.ts';
import type { Progress, Terminal } from './progress.ts';

export interface SetupOptions {
  /** `check` never installs a package: what is missing is an error. The template is built in both modes. */
  readonly mode: 'install' | 'check';
  /** Whether repositories may name images of registries, which takes one more program. */
  readonly wantsImages?: boolean;
  /** PATH of this process. */
  readonly searchPath: string;
  readonly terminal: Terminal;
  /** Builds the guest template, or finds that it is there. */
  readonly buildTemplate: (onProgress: (line: string) => void, signal: AbortSignal) => Promise<unknown>;
  readonly signal: AbortSignal;
}

export interface SetupReport {
  readonly system: string;
  /** Packages that this run installed. */
  readonly installed: readonly string[];
  /** Version by program; empty where it was not asked for. */
  readonly programs: Readonly<Record<string, string | null>>;
  readonly timingsMs: { readonly host: number; readonly template: number };
}

const sayMissing = (missing: readonly Missing[], progress: Progress) => {
  for (const item of missing) progress.say(`  ${item.program}: ${item.what} (${item.why}; package ${item.packageName})`);
};

function refuse(plan: Exclude<Plan, { kind: 'ready' }>, facts: HostFacts, progress: Progress): never {
  if (plan.kind === 'by_hand') {
    progress.say(plan.reason);
    if (plan.missing.length > 0) progress.say('Install these, then run it again:');
    sayMissing(plan.missing, progress);
  } else {
    progress.say('Mayfly needs on this host:');
    sayMissing(plan.missing, progress);
    progress.say(
      facts.privilege === null
        ? 'It cannot install them without root or a sudo that asks no password. Run these, then run it again:'
        : '`npx mayfly setup` brings them with these commands:',
    );
    for (const step of plan.steps) progress.say(`  ${asShellLine(step, facts.privilege)}`);
  }
  throw new FixError('host_incomplete', { details: { missing: plan.missing.map((item) => item.program) } });
}

async function installMissing(plan: Extract<Plan, { kind: 'install' }>, facts: HostFacts, options: SetupOptions & { progress: Progress }): Promise<HostFacts> {
  const { progress, signal } = options;
  progress.say(`Mayfly needs on this host (${facts.systemName}):`);
  sayMissing(plan.missing, progress);
  progress.say(`It will now${facts.privilege === 'sudo' ? ', through sudo' : ''}:`);
  for (const step of plan.steps) {
    progress.say(`  - ${step.title}`);
    for (const line of step.stdin?.trimEnd().split('\n') ?? []) progress.say(`      ${line}`);
  }
  await runSteps(plan.steps, { privilege: facts.privilege, progress, signal });
  const after = await readFacts(options);
  const left = planSetup(after, options);
  if (left.kind !== 'ready') refuse(left, after, progress);
  return after;
}

async function prepareHost(options: SetupOptions & { progress: Progress }): Promise<{ facts: HostFacts; installed: readonly string[] }> {
  const facts = await readFacts(options);
  const plan = planSetup(facts, options);
  if (plan.kind === 'ready') return { facts, installed: [] };
  if (plan.kind === 'by_hand' || options.mode === 'check' || facts.privilege === null) refuse(plan, facts, options.progress);
  const after = await installMissing(plan, facts, options);
  return { facts: after, installed: [...new Set(plan.missing.map((item) => item.packageName))] };
}

/** Throws `host_incomplete` (and has said what is missing and how it comes), `host_setup_failed`, `cancelled`, or what the template build throws. */
export async function runSetup(options: SetupOptions): Promise<SetupReport> {
  const progress = createProgress(options.terminal);
  const startedAt = performance.now();
  const { facts, installed } = await prepareHost({ ...options, progress });
  const host = Math.round(performance.now() - startedAt);
  progress.say(`The host has what Mayfly needs (${facts.systemName}, QEMU ${facts.programs['qemu-system-x86_64'] ?? ''}).`);
  try {
    await options.buildTemplate((line) => progress.update(line), options.signal);
  } finally {
    progress.clear();
  }
  const template = Math.round(performance.now() - startedAt) - host;
  progress.say(`The guest template is ready (${(template / 1000).toFixed(1)} s).`);
  return { system: facts.systemName, installed, programs: facts.programs, timingsMs: { host, template } };
}
