/** What the environment says about settings: the operator's defaults, and the ceilings that no file goes beyond. */
import type { Config } from './config.ts';
import { FixError } from './errors.ts';
import { expandPresets, isHostRule } from './settings/host-rules.ts';
import type { Operator, Word } from './settings/operator.ts';
import { defaults } from './settings/values.ts';

/** `model` is the command line's word over MAYFLY_MODEL, if there is one. Throws `config_invalid`. */
export function createOperator(config: Config, model = config.MAYFLY_MODEL): Operator {
  const word = <T>(variable: string, value: T): Word<T> => ({ value, variable, given: config.given.has(variable) });
  const limits = {
    'limits.minutes': word('MAYFLY_HARD_MINUTES', config.MAYFLY_HARD_MINUTES),
    'limits.steps': word('MAYFLY_MAX_STEPS', config.MAYFLY_MAX_STEPS),
    'limits.tokens': word('MAYFLY_MAX_TOKENS', config.MAYFLY_MAX_TOKENS),
    'limits.costUsd': word('MAYFLY_MAX_COST_USD', config.MAYFLY_MAX_COST_USD),
    'limits.setupMinutes': word('MAYFLY_SETUP_MINUTES', config.MAYFLY_SETUP_MINUTES),
    'limits.commandSeconds': word('MAYFLY_COMMAND_SECONDS', config.MAYFLY_COMMAND_SECONDS),
    'limits.proofMinutes': word('MAYFLY_PROOF_MINUTES', config.MAYFLY_PROOF_MINUTES),
    'budgets.runsAtOnce': word('MAYFLY_RUNS_PER_REPOSITORY', config.MAYFLY_RUNS_PER_REPOSITORY),
    'budgets.runsPerUserAndHour': word('MAYFLY_RUNS_PER_USER_AND_HOUR', config.MAYFLY_RUNS_PER_USER_AND_HOUR),
    'budgets.runsPerDay': word('MAYFLY_RUNS_PER_REPOSITORY_AND_DAY', config.MAYFLY_RUNS_PER_REPOSITORY_AND_DAY),
    'budgets.costUsdPerDay': word('MAYFLY_DAILY_COST_USD_PER_REPOSITORY', config.MAYFLY_DAILY_COST_USD_PER_REPOSITORY),
    'sandbox.cpus': word('MAYFLY_GUEST_VCPUS', config.MAYFLY_GUEST_VCPUS),
    'sandbox.memoryMib': word('MAYFLY_GUEST_MEMORY_MIB', config.MAYFLY_GUEST_MEMORY_MIB),
  };
  const disk = word('MAYFLY_GUEST_DISK_GIB', config.MAYFLY_GUEST_DISK_GIB);
  const hosts = word('MAYFLY_ALLOWED_HOSTS', readHosts(config));
  return {
    defaults: { ...limits, label: word('MAYFLY_LABEL', config.MAYFLY_LABEL), model: word('MAYFLY_MODEL', model), 'sandbox.diskGib': disk },
    ceilings: {
      ...limits,
      'triggers.permission': word('MAYFLY_MIN_PERMISSION', config.MAYFLY_MIN_PERMISSION),
      'triggers.bots': word('MAYFLY_ALLOW_BOTS', config.MAYFLY_ALLOW_BOTS),
      ...(hosts.value.length > 0 && { 'allow.setup': hosts, 'allow.agent': hosts, 'allow.proof': hosts }),
      'sandbox.isolation': word('MAYFLY_MIN_ISOLATION', config.MAYFLY_MIN_ISOLATION),
      'sandbox.diskGib': word('MAYFLY_MAX_GUEST_DISK_GIB', config.MAYFLY_MAX_GUEST_DISK_GIB),
      'sandbox.root': word('MAYFLY_ALLOW_ROOT', config.MAYFLY_ALLOW_ROOT),
      ...(config.MAYFLY_HOLD_CI && { ci: word('MAYFLY_HOLD_CI', defaults.ci) }),
      'protect.refuse': word('MAYFLY_PROTECTED_PATHS', config.MAYFLY_PROTECTED_PATHS),
    },
    floors: { 'sandbox.diskGib': disk },
    imageRegistries: config.MAYFLY_IMAGE_REGISTRIES,
    models: model === null ? null : modelNames(config, model),
  };
}

/** A slip of the pen in it would close what was meant to be open, which nobody would look for here. */
function readHosts({ MAYFLY_ALLOWED_HOSTS: entries }: Config): readonly string[] {
  const wrong = entries.find((entry) => !isHostRule(entry));
  if (wrong === undefined) return expandPresets(entries);
  const problem = `MAYFLY_ALLOWED_HOSTS: ${JSON.stringify(wrong.slice(0, 100))} is no host, such as example.org, *.example.org or GET example.org/a/*`;
  throw new FixError('config_invalid', { details: { problems: [problem] } });
}

/** The operator's choice first, then what a repository may choose instead. */
export function modelNames(config: Config, first: string): readonly [string, ...string[]] {
  return [first, ...(config.MAYFLY_MODEL === null ? [] : [config.MAYFLY_MODEL]), ...config.MAYFLY_MODELS];
}
