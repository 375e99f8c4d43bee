/**
 * The setup commands once more, in a tree that the agent has changed. What they start - a Makefile, a script of
 * package.json, a build - is the agent's now, so they get what the tests get: no root, and the hosts of that phase. What
 * they once installed as root is still there.
 */
import type { Gateway } from '../gateway/gateway.ts';
import type { Rerun } from '../proof/prove.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

export interface RepeatOptions {
  readonly setup: readonly string[];
  /** Whether sudo still works: the settings keep it. */
  readonly root: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const skipped = 'mayfly: not run again with sudo:';
/** A line of setup says sudo to bash itself; what it starts finds the real one, which refuses. */
const withoutSudo = `sudo() { printf '%s\\n' "${skipped} $*" >&2; }; eval "$1"`;
/** What was fetched before is taken as it is; nobody waits for what cannot be reached. */
const fromCaches = { npm_config_prefer_offline: 'true', PIP_RETRIES: '0' };
const refusesSudo = /^sudo: /m;

/** In the phase that the gateway is in. Throws `sandbox_lost`. */
export async function repeatSetup(sandbox: Sandbox, gateway: Pick<Gateway, 'ledger'>, { setup, root, timeoutMs, signal }: RepeatOptions): Promise<Rerun> {
  const deadline = performance.now() + timeoutMs;
  const attempts = gateway.ledger.length;
  let leftOut = false;
  for (const command of setup) {
    const argv = root ? ['bash', '-c', command] : ['bash', '-c', withoutSudo, 'bash', command];
    const left = Math.max(1, Math.round(deadline - performance.now()));
    const result = await sandbox.exec(argv, { env: fromCaches, signal, timeoutMs: left });
    if (result.ended === 'cancelled') signal.throwIfAborted();
    leftOut ||= !root && result.stderr.includes(skipped);
    if (result.exitCode === 0) continue;
    const refused = gateway.ledger.slice(attempts).some(({ decision }) => decision === 'refused');
    return { failed: result, leftOut, barred: refused ? noHost : refusesSudo.test(result.stderr) ? noRoot : null };
  }
  return { failed: null, leftOut, barred: null };
}

const onceMore = 'the setup commands had to run once more, with the files of the patch in place, and then';
const noHost = `${onceMore} reach only the hosts of allow.proof; something that they asked for was refused`;
const noRoot = `${onceMore} have no root, which something in them asks for; leave what needs root in setup and put the build into test`;
