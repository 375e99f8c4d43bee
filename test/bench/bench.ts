/** `npm run bench -- sandbox`, `-- density`, `-- clean`, `-- webhook`, `-- install` and `-- second`: figures to stdout, progress to stderr. */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { loadConfig } from '../../src/config.ts';
import { asFixError, FixError } from '../../src/errors.ts';
import { providerNames } from '../../src/job.ts';
import type { ProviderName } from '../../src/job.ts';
import { processesNaming } from '../support/processes.ts';
import type { ScriptedReply } from '../support/scripted-endpoint.ts';
import { findAlternatives } from './alternatives.ts';
import { openCandidate, vmsOf } from './candidate.ts';
import type { Candidate, Steps } from './candidate.ts';
import { benchClean } from './clean.ts';
import { benchDensity } from './density.ts';
import { describeHost, formatHost } from './host.ts';
import { benchInstall } from './install.ts';
import { benchSandbox } from './sandbox.ts';
import type { SandboxSeries } from './sandbox.ts';
import { benchSecond } from './second.ts';
import { figuresOf } from './series.ts';
import type { Series } from './series.ts';
import { formatFigures, formatGrowth, formatWaterfall } from './table.ts';
import { benchWebhook, deliveriesPerSecond } from './webhook.ts';

interface Common {
  readonly n: number;
  readonly json?: boolean;
}

const stop = new AbortController();
// Not `once`: a program that is started through execa would take a signal that nobody else listens to as the end of us.
process.on('SIGINT', () => stop.abort(new FixError('cancelled'))).on('SIGTERM', () => stop.abort(new FixError('cancelled')));

const count = (text: string): number => {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('It has to be a whole number from 1.');
  return Number(text);
};

const providerOption = (): Option => new Option('--provider <name>', 'what boots the VMs').choices([...providerNames]).default('qemu');

const program = new Command('bench').description('Measures Mayfly on this machine.');
program
  .command('sandbox')
  .description('VMs of a provider, beside what somebody would take instead.')
  .addOption(providerOption())
  .option('-n <count>', 'samples of each; whole boots are taken every second round', count, 20)
  .option('--json', 'print one JSON object')
  .action(runSandbox);
program
  .command('density')
  .description('20 VMs alive, 16 started at once, and many in a row, which must not make anything grow.')
  .addOption(providerOption())
  .option('-n <count>', 'runs in a row', count, 500)
  .option('--json', 'print one JSON object')
  .action(runDensity);
program
  .command('clean')
  .description('Runs in turn, each of which looks for what those before it left.')
  .addOption(providerOption())
  .option('-n <count>', 'runs', count, 200)
  .option('--json', 'print one JSON object')
  .action(runClean);
program
  .command('webhook')
  .description(`Acknowledgement of ${deliveriesPerSecond} deliveries a second, by the web role on a Redis of its own.`)
  .option('-n <seconds>', 'for how long', count, 10)
  .option('--json', 'print one JSON object')
  .action(runWebhook);

program
  .command('install')
  .description('A large tree of packages from the registry of this host, with and without the gateway, and in VMs.')
  .addOption(new Option('--provider <name...>', 'what boots VMs to install in, too').choices([...providerNames]))
  .option('-n <count>', 'installations of each kind', count, 3)
  .option('--json', 'print one JSON object')
  .action(runInstall);

interface Second extends OfProvider {
  readonly repos: string;
  readonly replies?: string;
  readonly told?: string;
}

program
  .command('second')
  .description('From the label to an agent that can edit, of a first run and of those that begin with its repository template.')
  .argument('<case>', 'a case of the eval, a JSON file')
  .requiredOption('--repos <dir>', 'folder of clones: <owner>+<name>/repo or <owner>/<name>')
  .addOption(providerOption())
  .option('-n <count>', 'runs after the first one', count, 3)
  .option('--replies <file>', 'what the model says in each run, as a JSON list (default: that there is nothing to do)')
  .option('--told <file>', 'where everything goes that people read')
  .option('--json', 'print one JSON object')
  .action(runSecond);

try {
  await program.parseAsync();
} catch (thrown) {
  const error = stop.signal.aborted ? asFixError(stop.signal.reason) : asFixError(thrown);
  const more = error.code === 'internal' ? (error.stack ?? '') : JSON.stringify(error.details);
  process.stderr.write(`\n${error.message}${more === '{}' ? '' : `\n${more}`}\n`);
  process.exitCode = error.row.exitCode;
}

interface OfProvider extends Common {
  readonly provider: ProviderName;
}

/** A candidate with a state directory of its own, in which nothing may be left. */
async function withCandidate<T>(name: ProviderName, use: (candidate: Candidate, stateDir: string) => Promise<T>): Promise<T> {
  const stateDir = await mkdtemp(join(tmpdir(), 'mayfly-bench-'));
  try {
    return await use(await openCandidate({ name, config: loadConfig('tool'), stateDir, signal: stop.signal }), stateDir);
  } finally {
    await reportLeftovers(stateDir);
  }
}

async function runSandbox({ n, json, provider: name }: OfProvider): Promise<void> {
  const host = await describeHost();
  const { series, missing } = await withCandidate(name, (candidate, stateDir) => measure(candidate, stateDir, n));
  const figures = [series.starting, series.running, series.together].map((group) => group.map(figuresOf));
  const steps = medianSteps(series.steps);
  if (json) {
    console.log(JSON.stringify({ command: 'sandbox', host, sandbox: series.info, n, figures: figures.flat(), restoreSteps: steps, missing }));
    return;
  }
  const { provider, accel, isolation } = series.info;
  const [starting = [], running = [], together = []] = figures;
  console.log(formatHost(host));
  console.log(formatFigures(`From nothing to a first command (${provider}/${accel}, isolation by ${isolation})`, starting));
  console.log(formatWaterfall(`One start (medians of ${series.steps.length})`, steps));
  console.log(formatFigures('In a VM that runs', running));
  console.log(formatFigures('Several VMs', together));
  if (missing.length > 0) console.log(`Not compared, because this host does not have it: ${missing.join(', ')}.`);
}

async function runDensity({ n, json, provider: name }: OfProvider): Promise<void> {
  const host = await describeHost();
  const onProgress = showProgress();
  const { info, growth, ...series } = await withCandidate(name, (candidate, stateDir) =>
    benchDensity({ candidate, stateDir, n, signal: stop.signal, onProgress }),
  );
  const [alive, rush, row] = [series.alive, series.rush, [series.row]].map((group) => group.map(figuresOf));
  if (json) {
    console.log(JSON.stringify({ command: 'density', host, sandbox: info, n, alive, rush, row, growth }));
    return;
  }
  console.log(formatHost(host));
  console.log(formatFigures(`VMs alive at once (${info.provider}/${info.accel})`, alive ?? []));
  console.log(formatFigures('VMs started at once', rush ?? []));
  console.log(formatFigures('One after the other', row ?? []));
  console.log(formatGrowth(`What ${n} in a row changed`, growth));
}

async function runClean({ n, json, provider: name }: OfProvider): Promise<void> {
  const host = await describeHost();
  const onProgress = showProgress();
  const series = await withCandidate(name, (candidate, stateDir) => benchClean({ candidate, stateDir, n, signal: stop.signal, onProgress }));
  const figures = series.map(figuresOf);
  if (figures.some(({ failures }) => Object.keys(failures).length > 0)) process.exitCode = 1;
  if (json) {
    console.log(JSON.stringify({ command: 'clean', host, provider: name, n, figures }));
    return;
  }
  console.log(formatHost(host));
  console.log(formatFigures(`${n} runs in turn (${name})`, figures));
}

async function measure(candidate: Candidate, stateDir: string, n: number): Promise<{ series: SandboxSeries; missing: readonly string[] }> {
  const alternatives = await findAlternatives(candidate.template, stateDir);
  return { series: await benchSandbox({ candidate, alternatives, n, signal: stop.signal, onProgress: showProgress() }), missing: alternatives.missing };
}

async function runWebhook({ n, json }: Common): Promise<void> {
  const host = await describeHost();
  const figures = (await benchWebhook({ seconds: n, signal: stop.signal, onProgress: showProgress() })).map(figuresOf);
  if (json) {
    console.log(JSON.stringify({ command: 'webhook', host, deliveriesPerSecond, seconds: n, figures }));
    return;
  }
  console.log(formatHost(host));
  console.log(formatFigures(`${deliveriesPerSecond} deliveries a second for ${n} s`, figures));
}

async function runInstall({ n, json, provider: names = [] }: Common & { readonly provider?: readonly ProviderName[] }): Promise<void> {
  const host = await describeHost();
  const config = loadConfig('tool');
  const { npm_config_registry: registry, HTTPS_PROXY: upstreamProxy, NODE_EXTRA_CA_CERTS: extraFile } = config;
  const extraPem = extraFile === null ? '' : await readFile(extraFile, 'utf8');
  const directory = await mkdtemp(join(tmpdir(), 'mayfly-bench-'));
  try {
    const opened = await Promise.all(
      names.map(async (name) => ({ name, candidate: await openCandidate({ name, config, stateDir: directory, signal: stop.signal }) })),
    );
    const rootfs = opened[0]?.candidate.template.image.rootfs;
    const series = await benchInstall({
      registry: registry ?? 'https://registry.npmjs.org/',
      upstreamProxy,
      extraPem,
      n,
      npmProgram: rootfs === undefined ? null : join(rootfs, 'usr/local/lib/node_modules/npm/bin/npm-cli.js'),
      vms: opened.map(({ name, candidate }) => ({ name, provider: candidate.silent })),
      directory,
      signal: stop.signal,
      onProgress: showProgress(),
    });
    const figures = series.map(figuresOf);
    if (json) console.log(JSON.stringify({ command: 'install', host, n, figures }));
    else console.log(`${formatHost(host)}\n${formatFigures(`npm ci of this repository, ${n} times each`, figures)}`);
  } finally {
    await reportLeftovers(directory);
  }
}

async function runSecond(caseFile: string, { n, json, provider, repos, replies, told }: Second): Promise<void> {
  const host = await describeHost();
  const directory = await mkdtemp(join(tmpdir(), 'mayfly-bench-'));
  try {
    const script = replies === undefined ? {} : { replies: JSON.parse(await readFile(replies, 'utf8')) as ScriptedReply[] };
    const place = { provider, caseFile, repos: resolve(repos), directory, config: loadConfig('tool'), signal: stop.signal, onProgress: showProgress() };
    const series = await benchSecond({ ...place, n, ...script });
    const [first, later] = [series.first, series.later].map((group) => group.map(figuresOf));
    if (told !== undefined) await writeFile(told, series.told.join('\n\n'));
    if (json) console.log(JSON.stringify({ command: 'second', host, provider, n, first, later }));
    else console.log(`${formatHost(host)}\n${formatFigures(`The first run (${provider})`, first ?? [])}\n${formatFigures('From its template', later ?? [])}`);
  } finally {
    await reportLeftovers(directory);
  }
}

/** The steps of a boot are told as time since its beginning; what each took is the difference, and of those the median. */
function medianSteps(boots: readonly Steps[]): { name: string; ms: number }[] {
  const names = Object.keys(boots[0] ?? {});
  return names.map((name, index) => {
    const before = names[index - 1];
    const taken: Series = {
      name,
      unit: 'ms',
      span: '',
      failures: new Map(),
      samples: boots.map((boot) => (boot[name] ?? 0) - (before ? (boot[before] ?? 0) : 0)),
    };
    return { name: name.replace(/Ms$/, ''), ms: figuresOf(taken).p50 ?? 0 };
  });
}

/** One line that is written over on a terminal; else only its changes of kind. */
function showProgress(): (line: string) => void {
  let kind = '';
  return (line) => {
    const [now = ''] = line.split(':', 1);
    if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${line}`);
    else if (now !== kind) process.stderr.write(`${line}\n`);
    kind = now;
  };
}

/** Looks for VMs and processes of this run; something left is a failure, whatever was measured. */
async function reportLeftovers(stateDir: string): Promise<void> {
  const vms = await readdir(vmsOf(stateDir)).catch(() => []);
  const left = [...vms.map((name) => `VM ${name}`), ...(await processesNaming(stateDir))];
  if (process.stderr.isTTY) process.stderr.write('\r\u001B[K');
  for (const name of left) process.stderr.write(`left behind: ${name}\n`);
  if (left.length > 0) process.exitCode = 1;
  else await rm(stateDir, { recursive: true, force: true });
}
