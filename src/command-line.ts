/** The commands of `mayfly`: what each takes, which role's configuration it needs, how its errors are shown. */
import { unescape } from 'node:querystring';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { dropEmptyVariables, loadConfig } from './config.ts';
import type { Config, Role } from './config.ts';
import { FixError, asFixError, errorTable } from './errors.ts';
import { createLog, createSecrets } from './log.ts';
import { providerNames } from './job.ts';
import type { LocalOptions } from './local.ts';
import type { Log, Secrets } from './log.ts';
import type { ShowOptions } from './check-settings.ts';
import type { RegisterOptions } from './register-app.ts';
import { version } from './version.ts';

/** What every command gets. */
export interface CommandContext {
  readonly config: Config;
  readonly log: Log;
  readonly secrets: Secrets;
  /** Aborted with a FixError `cancelled` by SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
}

/** Makes the commands; they set `outcome` when they end well, but not with code 0. */
export type CreateProgram = (signal: AbortSignal, outcome: { exitCode: number }) => Command;

/** Runs one command line; returns the exit code. Results go to stdout, everything else to stderr. */
export async function runCommandLine(argv: readonly string[], create: CreateProgram = createProgram): Promise<number> {
  dropEmptyVariables();
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new FixError('cancelled'));
  // Not `once`: execa ends this process at once, without clean-up, on a signal that nobody else listens to any more.
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const outcome = { exitCode: 0 };
    await create(stop.signal, outcome).parseAsync([...argv], { from: 'user' });
    return outcome.exitCode;
  } catch (thrown) {
    return showError(thrown, stop.signal);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** One line that says what happened and what to do; problems of the configuration follow, one a line. */
function showError(thrown: unknown, signal: AbortSignal): number {
  if (thrown instanceof CommanderError) {
    // Commander has printed help, version or its own one line already.
    return thrown.exitCode === 0 ? 0 : errorTable.usage.exitCode;
  }
  const error = signal.aborted ? asFixError(signal.reason) : asFixError(thrown);
  const { problems = [], reason, ...details } = error.details as { problems?: readonly string[]; reason?: string };
  console.error(`mayfly: ${error.message}${reason ? ` (${reason})` : ''}`);
  for (const problem of problems) console.error(`  ${problem}`);
  for (const [name, value] of Object.entries(details)) console.error(`  ${name}: ${oneLine(value)}`);
  for (let { cause } = error; cause instanceof Error; { cause } = cause) {
    const more = cause instanceof FixError ? ` ${JSON.stringify(cause.details)}` : '';
    console.error(`  because: ${oneLine(`${cause.message}${more}`)}`);
  }
  if (error.code === 'internal') console.error(error.stack);
  return error.row.exitCode;
}

/** The end of a detail says most: last words of a program that failed. */
function oneLine(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return text
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(-400);
}

/** Throws `config_invalid`. A quiet one logs nothing unless LOG_LEVEL asks for it: its progress is told in words. */
export function createContext(role: Role, signal: AbortSignal, quiet = false): CommandContext {
  const config = loadConfig(role);
  const secrets = createSecrets();
  for (const secret of [
    config.WEBHOOK_SECRET,
    config.MAYFLY_JOB_KEY,
    config.privateKey,
    config.ANTHROPIC_API_KEY,
    config.OPENAI_API_KEY,
    config.GOOGLE_GENERATIVE_AI_API_KEY,
    config.MAYFLY_COMPATIBLE_API_KEY,
    ...proxySecrets(config.HTTPS_PROXY),
  ]) {
    if (secret) secrets.protect(secret);
  }
  const level = quiet && config.LOG_LEVEL === 'info' ? 'fatal' : config.LOG_LEVEL;
  return { config, secrets, signal, log: createLog({ level, secrets, format: config.LOG_FORMAT }) };
}

/** The password as it is written in the address and as it is meant, and what goes to the proxy in base64. */
function proxySecrets(proxy: string | null): readonly string[] {
  if (proxy === null) return [];
  const { username, password } = new URL(proxy);
  // A name alone is a token.
  if (password === '') return username === '' ? [] : [username, unescape(username), `${unescape(username)}:`];
  return [password, unescape(password), `${unescape(username)}:${unescape(password)}`];
}

function createProgram(signal: AbortSignal, outcome: { exitCode: number }): Command {
  const context: MakeContext = (role, quiet) => createContext(role, signal, quiet);
  const program = new Command('mayfly')
    .description('Fixes issues in throwaway micro-VMs.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('Run with --help to see what is understood.')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, 'mayfly:')) });
  addStart(program, context);
  addHealth(program, context);
  addSetup(program, context);
  addDoctor(program, context, outcome);
  addFix(program, context, outcome);
  addSettings(program, context, outcome);
  addDemo(program, context, outcome);
  return program;
}

type MakeContext = (role: Role, quiet?: boolean) => CommandContext;

function addStart(program: Command, context: MakeContext): void {
  program
    .command('start')
    .description('Run the webhook server, a worker, or both. Ends cleanly on SIGTERM.')
    .addOption(new Option('--role <role>', 'which part to run').choices(['web', 'worker', 'all']).default('all'))
    .action(async ({ role }: { role: 'web' | 'worker' | 'all' }) => {
      const { startRoles } = await import('./start.ts');
      await startRoles(role, context(role));
    });
}

function addHealth(program: Command, context: MakeContext): void {
  program
    .command('health')
    .description('Say whether the web role or the worker of this host works. Code 1: start it again; code 4: Redis does not answer.')
    .addOption(new Option('--role <role>', 'which part to ask').choices(['web', 'worker']).makeOptionMandatory())
    .action(async ({ role }: { role: 'web' | 'worker' }) => {
      const { checkHealth } = await import('./health.ts');
      await checkHealth(role, context('tool', true));
    });
}

function addSetup(program: Command, context: MakeContext): void {
  const setup = program
    .command('setup')
    .description('Install what this host lacks and build the guest template. Idempotent. MAYFLY_SETUP=check only looks.')
    .action(async () => {
      const { setUp } = await import('./set-up.ts');
      await setUp(context('tool', true));
    });
  addRegistration(program, setup, context);
  program
    .command('image')
    .description('The guest template.')
    .command('build')
    .description('Build the guest template if there is none for this version, and show where it is.')
    .option('--json', 'print one JSON object')
    .action(async ({ json }: { json?: boolean }) => {
      const { buildImage } = await import('./set-up.ts');
      await buildImage(context('tool', true), { json: json ?? false });
    });
}

function addRegistration(program: Command, setup: Command, context: MakeContext): void {
  setup
    .command('github')
    .description('Register the GitHub App from app.yml, in your browser; writes its key and an environment file. GHE_HOST names a GitHub Enterprise Server.')
    .option('--name <name>', 'name of the App; no two at GitHub share one (default: that of app.yml)')
    .option('--organization <name>', 'the organization that owns the App (default: you)')
    .option('--webhook-url <url>', 'where GitHub reaches the web role, https://; without a path WEBHOOK_PATH is added')
    .option('--out <dir>', 'where mayfly.pem and mayfly.env go; neither is ever overwritten', '.')
    .addOption(new Option('--port <n>', 'port of the page on 127.0.0.1').argParser(readPort).default(0, 'any free one'))
    .option('--dev-proxy [url]', 'development without a public address: a third party (smee.io) passes every payload on')
    .option('--json', 'print one JSON object as the last line of stdout')
    .action(async (options: RegisterOptions) => {
      const { registerGitHubApp } = await import('./register-app.ts');
      await registerGitHubApp(options, context('tool', true));
    });
  program
    .command('dev-proxy')
    .description('Pass on what a development webhook proxy receives to the web role on HOST and PORT.')
    .argument('<channel>', 'its address, as `mayfly setup github --dev-proxy` printed it')
    .action(async (channel: string) => {
      const { forwardFromChannel } = await import('./register-app.ts');
      await forwardFromChannel(channel, context('tool', true));
    });
}

function readPort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('It is a number up to 65535.');
  return Number(text);
}

function addDoctor(program: Command, context: MakeContext, outcome: { exitCode: number }): void {
  program
    .command('doctor')
    .description('Say what this host can do, and what to do about what it cannot. Exit code 3 when something is a problem.')
    .option('--json', 'print one JSON object')
    .action(async ({ json }: { json?: boolean }) => {
      const { checkUp } = await import('./check-up.ts');
      outcome.exitCode = await checkUp(context('tool', true), { json: json ?? false });
    });
}

function addFix(program: Command, context: MakeContext, outcome: { exitCode: number }): void {
  const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
  program
    .command('fix')
    .description('Fix an issue of a local or remote repository in micro-VMs, without GitHub, and write the patch.')
    .requiredOption('--repo <dir|url>', 'the repository; its work tree is not touched')
    .requiredOption('--issue <file|text>', 'a file (first line is the title, .json with title and body too), or the text itself')
    .option('--base <ref>', 'branch, tag or commit to start from (default: HEAD)')
    .option('--setup <command>', 'prepares a fresh clone; may be repeated', collect)
    .option('--test <command>', 'the command whose exit code proves the fix')
    .option('--allow <host>', 'a host that the VM may reach; may be repeated', collect)
    .addOption(
      new Option('--provider <name>', 'what boots the VM: micro-VMs or gVisor (default: MAYFLY_PROVIDER, else what works best here)').choices(providerNames),
    )
    .option('--model <vendor/name>', 'for example anthropic/claude-sonnet-4-5 (default: MAYFLY_MODEL)')
    .option('--out <file>', 'where the patch goes', 'mayfly.patch')
    .option('--json', 'print one JSON object as the last line of stdout')
    .action(async (options: LocalOptions) => {
      const { fixLocally } = await import('./local.ts');
      outcome.exitCode = await fixLocally(options, context('tool', true));
    });
}

function addSettings(program: Command, context: MakeContext, outcome: { exitCode: number }): void {
  const settings = program.command('settings').description('The settings of a repository.');
  settings
    .command('validate')
    .description('Say what is wrong with a settings file: line, key, and how to mend it. Exit code 2 when something is.')
    .argument('[file]', 'the settings file', '.github/mayfly.yml')
    .option('--json', 'print one JSON object')
    .action(async (file: string, { json }: { json?: boolean }) => {
      const { validateSettings } = await import('./check-settings.ts');
      outcome.exitCode = await validateSettings(file, { json: json ?? false }, context('tool', true));
    });
  settings
    .command('show')
    .description('Show every key with its value, and whose word that is: default, operator, organization or repository.')
    .requiredOption('--repo <dir|url|owner/name>', 'the repository; what is committed counts. owner/name is read from GitHub by the App, as a run reads it')
    .option('--base <ref>', 'branch, tag or commit (default: HEAD; on GitHub the default branch)')
    .option('--organization <dir|url>', 'the repository `.github` of the organization, for `extends: organization`; owner/name finds it by itself')
    .option('--json', 'print one JSON object')
    .action(async (options: ShowOptions) => {
      const { showSettings } = await import('./check-settings.ts');
      outcome.exitCode = await showSettings(options, context('tool', true));
    });
}

function addDemo(program: Command, context: MakeContext, outcome: { exitCode: number }): void {
  program
    .command('demo')
    .description('Show one whole run: real server, queue, worker and micro-VMs; GitHub (and without a key the model) is a stand-in.')
    .option('--json', 'print one JSON object as the last line of stdout')
    .action(async ({ json }: { json?: boolean }) => {
      const { setUp } = await import('./set-up.ts');
      const made = context('tool', true);
      await setUp(made);
      // The stand-ins are test code: they are not part of what is deployed, so they live there.
      const { runDemo } = await import('../test/demo/demo.ts');
      outcome.exitCode = await runDemo(made, { json: json ?? false });
    });
}
