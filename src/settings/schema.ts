/**
 * The keys of `.github/mayfly.yml`. A key enters the schema together with the code that obeys it. A new one is a line
 * here, its default in values.ts, and, when the operator has a say, a line in ceilings.ts.
 */
import { z } from 'zod';
import { botPattern, isLocale, isTimeZone, prefixPattern, reviewerPattern } from './formats.ts';
import { findGlobMistake } from './globs.ts';
import { isHostRule } from './host-rules.ts';
import { parseImageName } from './images.ts';

export const settingsPath = '.github/mayfly.yml';
export const maxSettingsBytes = 32_768;

/** From the weakest wall to the strongest. */
export const isolations = ['emulation', 'syscall', 'hardware'] as const;
/** From the least to the most. */
export const permissions = ['write', 'maintain', 'admin'] as const;

const whole = (least: number, most: number) => z.number().int().min(least).max(most).optional();
const Command = z
  .string()
  .trim()
  .min(1)
  .max(4096)
  .regex(/^[^\p{Cc}]*(?:[\n\t][^\p{Cc}]*)*$/u, { error: 'it holds a control character; leave it out' });
const Commands = z.array(Command).max(20);
const Host = z.string().max(520).refine(isHostRule, {
  error: 'not the name of a host, such as example.org, *.example.org or example.org:8443, or a part of one, such as GET example.org/a/*',
});
const Hosts = z.array(Host).max(50);
const Glob = z.string().superRefine((pattern, context) => {
  const mistake = findGlobMistake(pattern);
  if (mistake !== null) context.addIssue(`not a pattern for paths: it ${mistake}`);
});
const Globs = z.array(Glob).max(100);

const Triggers = z.strictObject({
  permission: z
    .enum(permissions)
    .optional()
    .meta({ description: 'Least permission of whoever starts a run. The operator may ask for more.', examples: ['maintain'] }),
  bots: z
    .array(z.string().regex(botPattern, { error: 'not the login of a bot, such as renovate[bot]' }))
    .max(20)
    .optional()
    .meta({ description: 'Bots that may start runs, by login; only ones that the operator allows.', examples: [['renovate[bot]']] }),
});

const Limits = z.strictObject({
  minutes: whole(1, 1440).meta({ description: 'Minutes of a whole run. The agent is asked to wrap up at three quarters of it.', examples: [30] }),
  steps: whole(1, 10_000).meta({ description: 'Steps of the agent.', examples: [100] }),
  tokens: whole(1000, 1_000_000_000).meta({ description: 'Tokens, in and out.', examples: [5_000_000] }),
  costUsd: z
    .number()
    .positive()
    .max(1_000_000)
    .optional()
    .meta({ description: 'Money for the model, in USD, where its price is known.', examples: [2.5] }),
  setupMinutes: whole(1, 1440).meta({ description: 'Minutes for all setup commands together.', examples: [10] }),
  commandSeconds: whole(1, 86_400).meta({ description: 'Seconds for one command of the agent.', examples: [120] }),
  proofMinutes: whole(1, 1440).meta({ description: 'Minutes for all runs of the tests of one proof.', examples: [20] }),
});

const Budgets = z.strictObject({
  runsAtOnce: whole(1, 1000).meta({ description: 'Runs of this repository that work at the same time.', examples: [1] }),
  runsPerUserAndHour: whole(1, 100_000).meta({ description: 'Runs that one person may begin here in an hour. What is over it waits.', examples: [3] }),
  runsPerDay: whole(1, 100_000).meta({ description: 'Runs of this repository that may begin in a day (UTC). What is over it waits.', examples: [10] }),
  costUsdPerDay: z
    .number()
    .positive()
    .max(1_000_000)
    .optional()
    .meta({ description: 'Money for the model in a day (UTC), in USD, where its price is known. What is over it waits.', examples: [20] }),
});

const FollowUps = z.strictObject({
  checks: z
    .boolean()
    .optional()
    .meta({ description: 'Whether failed checks on our own commits start a run, three times in a row at most.', examples: [false] }),
  conflicts: z
    .boolean()
    .optional()
    .meta({ description: 'Whether the base is merged into a pull request of ours when the two conflict; `/agent merge` does it once.', examples: [true] }),
  foreign: z
    .enum(['pull_request', 'push'])
    .optional()
    .meta({
      description: 'What `/agent` does on a pull request that Mayfly did not open: a pull request against its branch, or a commit onto it.',
      examples: ['push'],
    }),
  quietSeconds: whole(1, 3600).meta({ description: 'How long single review comments are waited for, to be answered together.', examples: [300] }),
});

const HostsPerPhase = z.strictObject({
  setup: Hosts.optional().meta({ description: 'Hosts for the setup commands, beside the package registries.', examples: [['download.example.org']] }),
  agent: Hosts.optional().meta({ description: 'Hosts for the agent.', examples: [['npm', 'GET docs.example.org/guide/*']] }),
  proof: Hosts.optional().meta({ description: 'Hosts for the tests that judge a fix.', examples: [['api.example.org']] }),
});

const Sandbox = z.strictObject({
  image: z
    .string()
    .max(400)
    .refine((name) => parseImageName(name) !== null, { error: 'not registry/name:tag or registry/name@sha256:..., with the registry in front' })
    .optional()
    .meta({
      description: 'Image that the VM is made of, from a registry that the operator allows. It needs bash and GNU coreutils, and is for linux/amd64.',
      examples: ['ghcr.io/acme/tools:1.4'],
    }),
  isolation: z
    .enum(isolations)
    .optional()
    .meta({
      description: 'Weakest wall around the VM that is accepted: hardware (KVM), syscall (gVisor), emulation. A worker that has less refuses the run.',
      examples: ['hardware'],
    }),
  cpus: whole(1, 64).meta({ description: 'Virtual processors of the VM.', examples: [1] }),
  memoryMib: whole(512, 1_048_576).meta({ description: 'Memory of the VM, in MiB.', examples: [2048] }),
  diskGib: whole(1, 4096).meta({ description: 'Disk of the VM, in GiB. None is smaller than what the operator gives every VM.', examples: [20] }),
  root: z
    .boolean()
    .optional()
    .meta({ description: 'Whether sudo still works after setup. Only where the operator allows it.', examples: [true] }),
});

const Protect = z.strictObject({
  refuse: Globs.optional().meta({ description: 'Paths that no patch may touch, beside those that are always protected.', examples: [['migrations/']] }),
  ask: Globs.optional().meta({ description: 'Paths that a patch may touch, but the pull request says so at its top.', examples: [['src/auth/**']] }),
  allow: Globs.optional().meta({ description: 'Paths that a patch may touch although they are protected by default.', examples: [['.vscode/']] }),
});

/** What is written in a file: every key may be left out. */
export const Settings = z.strictObject({
  extends: z
    .literal('organization')
    .optional()
    .meta({ description: 'Takes what is not set here from `.github/mayfly.yml` of the organization’s `.github` repository.', examples: ['organization'] }),
  enabled: z
    .boolean()
    .optional()
    .meta({ description: 'Whether Mayfly works in this repository.', examples: [false] }),
  label: z
    .string()
    .trim()
    .min(1)
    .max(50)
    .optional()
    .meta({ description: 'Label that starts a run.', examples: ['fix me'] }),
  triggers: Triggers.optional().meta({ description: 'Who may start a run.' }),
  setup: Commands.optional().meta({
    description: 'Commands that prepare a fresh clone, run in order with the package registries reachable.',
    examples: [['npm ci']],
  }),
  test: Command.optional().meta({ description: 'The command whose exit code proves a fix.', examples: ['npm test'] }),
  allow: z
    .union([Hosts, HostsPerPhase])
    .optional()
    .meta({
      description:
        'Hosts that setup, agent and proof may reach: a list for all three, or one for each. Package registries are reachable during setup without it, unless the operator closes them; their names (npm, yarn, pypi, crates, go, rubygems, maven, debian) open them later, for reading. `GET example.org/a/*` opens a part of a host.',
      examples: [['docs.example.org']],
    }),
  timezone: z
    .string()
    .refine(isTimeZone, { error: 'not the name of a time zone, such as Europe/Berlin' })
    .optional()
    .meta({ description: 'Time zone (TZ) of every command in the VM.', examples: ['Europe/Berlin'] }),
  locale: z
    .string()
    .refine(isLocale, { error: 'not the name of a locale, such as de_DE.UTF-8' })
    .optional()
    .meta({
      description: 'Locale (LANG) of every command in the VM. Node and Java know every locale; for programs of C it has to be installed by `setup`.',
      examples: ['de_DE.UTF-8'],
    }),
  model: z
    .string()
    .trim()
    .min(1)
    .max(220)
    .optional()
    .meta({ description: 'The model that works here, as vendor/name; one of those that the operator allows.', examples: ['anthropic/claude-sonnet-4-5'] }),
  limits: Limits.optional().meta({ description: 'What one run may use at most.' }),
  budgets: Budgets.optional().meta({ description: 'What all runs of this repository may use together.' }),
  sandbox: Sandbox.optional().meta({ description: 'The VM that the work is done in.' }),
  plan: z
    .enum(['asked', 'always'])
    .optional()
    .meta({ description: 'Whether a person has to approve a plan before anything is changed: only when one was asked for, or always.', examples: ['always'] }),
  ci: z
    .enum(['hold', 'run'])
    .optional()
    .meta({ description: 'Whether workflows run on our commits at once, or only after a person releases them.', examples: ['run'] }),
  branchPrefix: z
    .string()
    .max(40)
    .regex(prefixPattern, { error: 'not the first part of the name of a branch: small letters, digits and single hyphens' })
    .optional()
    .meta({ description: 'First part of the names of our branches, as in `mayfly/issue-7`.', examples: ['bot'] }),
  draft: z
    .boolean()
    .optional()
    .meta({ description: 'Whether pull requests are opened as drafts.', examples: [false] }),
  labels: z
    .array(z.string().trim().min(1).max(50))
    .max(10)
    .optional()
    .meta({ description: 'Labels that our pull requests get.', examples: [['bug']] }),
  reviewers: z
    .array(z.string().regex(reviewerPattern, { error: 'not a login, and not organization/team' }))
    .max(15)
    .optional()
    .meta({
      description: 'Who is asked for a review beside the person who started the run: logins, or organization/team.',
      examples: [['ada', 'acme/backend']],
    }),
  followUps: FollowUps.optional().meta({ description: 'What happens on pull requests that are there.' }),
  protect: Protect.optional().meta({
    description: 'Which paths a patch may touch. Patterns know *, ** and ?; without a slash they mean a name in any folder.',
  }),
});
export type Settings = z.infer<typeof Settings>;
