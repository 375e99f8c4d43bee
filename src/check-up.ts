/** `mayfly doctor`: wiring between the configuration, the looks at this host, and the terminal. */
import { readFacts } from './setup/facts.ts';
import type { CommandContext } from './command-line.ts';
import type { Config } from './config.ts';
import { diskCheck, memoryCheck } from './doctor/capacity.ts';
import { examine, once, reasonOf } from './doctor/check.ts';
import type { Check } from './doctor/check.ts';
import { clockCheck } from './doctor/clock.ts';
import { githubChecks } from './doctor/github.ts';
import { hostChecks } from './doctor/host.ts';
import { modelCheck, priceCheck } from './doctor/model.ts';
import type { ModelOptions } from './doctor/model.ts';
import { redisChecks } from './doctor/redis.ts';
import { isHealthy, renderReport } from './doctor/report.ts';
import type { Report } from './doctor/report.ts';
import { sandboxChecks } from './doctor/sandbox.ts';
import type { SandboxLooks } from './doctor/sandbox.ts';
import { userIdCheck } from './doctor/user-ids.ts';
import { asFixError, errorTable } from './errors.ts';
import type { Log } from './log.ts';
import { findPrice } from './model/prices.ts';
import { createFetch, modelVendors, vmOptions, wantedProvider } from './run-tools.ts';
import { chooseProvider, whyNoGvisor } from './sandbox/choose-provider.ts';

/** The longest look boots a guest on KVM, which has 15 s. */
const deadlineMs = 30_000;
const requestTimeoutMs = 5_000;

/** Resolves with the exit code: 0 when nothing is a problem, 3 when something is. */
export async function checkUp({ config, log, secrets, signal }: CommandContext, { json }: { json: boolean }): Promise<number> {
  const quiet: Pick<CommandContext, 'log' | 'secrets'> = { secrets, log: log.child({}, { level: 'silent' }) };
  const probe = once((until) => whyNoGvisor(vmOptions(config, quiet.log), until));
  const findings = await examine(allChecks(config, { ...quiet, whyNoGvisor: probe }), { signal, deadlineMs });
  const report: Report = { findings, provider: await describeChoice(config, { log: quiet.log, whyNoGvisor: () => probe(signal) }) };
  const healthy = isHealthy(findings);
  const lines = json ? [JSON.stringify({ ok: healthy, ...report })] : renderReport(report, paper());
  for (const line of lines) console.log(secrets.scrub(line));
  return healthy ? 0 : errorTable.host_incomplete.exitCode;
}

function paper(): Parameters<typeof renderReport>[1] {
  const { isTTY, columns } = process.stdout;
  return isTTY ? { isTerminal: true, columns } : { isTerminal: false, columns: 140 };
}

type Quiet = Pick<CommandContext, 'log' | 'secrets'> & Pick<SandboxLooks, 'whyNoGvisor'>;

function allChecks(config: Config, { log, secrets, whyNoGvisor }: Quiet): Check[] {
  const readHost = once((signal) => readFacts({ searchPath: config.PATH, signal }));
  const fetch = boundedFetch(createFetch(config));
  const { uidRange, maxDiskGib, memoryMib, ...template } = vmOptions(config, log);
  const concurrency = config.MAYFLY_CONCURRENCY;
  return [
    ...hostChecks(readHost, { ...template, wantsImages: config.MAYFLY_IMAGE_REGISTRIES.length > 0 }),
    userIdCheck(uidRange),
    memoryCheck({ guestMib: memoryMib, concurrency }),
    diskCheck({ guestGib: maxDiskGib, concurrency, paths: [template.cacheDir, template.stateDir] }),
    clockCheck({ apiUrl: config.apiUrl, fetch }),
    ...sandboxChecks({ readHost, whyNoGvisor, isWanted: wantedProvider(config) === 'oci' }, vmOptions(config, log)),
    ...redisChecks({ redisUrl: config.REDIS_URL, hasJobKey: config.MAYFLY_JOB_KEY !== null }),
    ...githubChecks({
      appId: config.APP_ID ?? null,
      privateKey: config.privateKey,
      apiUrl: config.apiUrl,
      webhookPath: config.WEBHOOK_PATH,
      fetch,
      requestTimeoutMs,
      secrets,
      log,
    }),
    ...modelChecks(config, fetch),
  ];
}

function boundedFetch(send: typeof fetch): typeof fetch {
  return (input, init) => send(input, { ...init, signal: AbortSignal.any([AbortSignal.timeout(requestTimeoutMs), ...(init?.signal ? [init.signal] : [])]) });
}

function modelChecks(config: Config, fetch: ModelOptions['fetch']): Check[] {
  const { MAYFLY_MODEL: first, MAYFLY_MODELS: choices, MAYFLY_FALLBACK_MODEL: fallback } = config;
  const names = new Set([first, ...choices, fallback].filter((name) => name !== null));
  return [
    modelCheck(modelOptions('MAYFLY_MODEL', first, { config, fetch })),
    ...choices.filter((name) => name !== first).map((name) => modelCheck(modelOptions('MAYFLY_MODELS', name, { config, fetch }))),
    ...(fallback === null ? [] : [modelCheck(modelOptions('MAYFLY_FALLBACK_MODEL', fallback, { config, fetch }))]),
    priceCheck([...names].map((name) => ({ name, price: findPrice(name, config.MAYFLY_MODEL_PRICES) }))),
  ];
}

function modelOptions(
  setting: ModelOptions['setting'],
  name: string | null,
  { config, fetch }: { config: Config; fetch: ModelOptions['fetch'] },
): ModelOptions {
  const vendor = modelVendors(config)[name?.split('/', 1)[0] ?? ''];
  return { setting, name, apiKey: vendor?.key ?? null, keyName: vendor?.keyName ?? '', baseUrl: vendor?.baseUrl ?? null, fetch };
}

/** What a run on this host would use, and why. */
async function describeChoice(config: Config, { log, whyNoGvisor }: { log: Log; whyNoGvisor: () => Promise<string | null> }): Promise<Report['provider']> {
  try {
    const { provider, reason } = await chooseProvider(vmOptions(config, log), wantedProvider(config), whyNoGvisor);
    return { name: provider.name, why: reason };
  } catch (thrown) {
    return { name: 'none', why: reasonOf(asFixError(thrown)) };
  }
}
