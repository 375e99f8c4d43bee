/** Runs as they end, for the pictures: one small repository, one real bug in it. */
import { createReport } from '../../src/fix/report.ts';
import type { RunEvent, RunReport } from '../../src/fix/report.ts';
import type { TemplateSection } from '../../src/fix/pull-template.ts';
import { parseTemplate } from '../../src/fix/pull-template.ts';
import type { FixJob, FixOutcome, Proof, TestRun } from '../../src/job.ts';
import { nothingToRun } from '../../src/proof/prove.ts';
import { aJob } from '../support/jobs.ts';

export const job: FixJob = {
  ...aJob({ issue: 218 }),
  runId: 'r0mgz4k1t7c2vq9x',
  issue: { number: 218, title: 'slug() leaves a dash at both ends', body: 'slug("¿Hello?") gives "-hello-".' },
  actor: { id: 31, login: 'ada' },
  requestedAt: '2026-11-28T11:58:20.000Z',
};

const testRun = (exitCode: number, passed: number, failed: number, output: string): TestRun => ({
  command: 'npm test',
  exitCode,
  ended: 'exited',
  durationMs: 4100 + 300 * failed,
  output,
  results: { passed, failed, skipped: 0, failing: [] },
});

export const testsOnBase = testRun(0, 41, 0, '# tests 41\n# pass 41\n# fail 0');
const testsOfPatch = testRun(1, 41, 1, "not ok 42 - slug drops dashes at both ends\n  expected: 'hello'\n  actual: '-hello-'\n# tests 42\n# pass 41\n# fail 1");
const testsWithPatch = testRun(0, 42, 0, '# tests 42\n# pass 42\n# fail 0');

const proven: Proof = {
  ...nothingToRun,
  verdict: 'proven',
  reason: 'the tests of the patch fail without its fix and pass with it',
  source: 'package.json',
  base: testsOnBase,
  tests: testsOfPatch,
  patched: testsWithPatch,
  fixed: ['slug drops dashes at both ends'],
};

const regressed: Proof = {
  ...proven,
  verdict: 'regressed',
  reason: 'tests that pass without the patch fail with it',
  tests: null,
  patched: testRun(1, 39, 2, "not ok 12 - slug keeps dashes inside\n  expected: 'a-b'\n  actual: 'ab'\n# tests 41\n# pass 39\n# fail 2"),
  fixed: [],
  broken: ['slug keeps dashes inside', 'slug joins words'],
};

const grants: RunReport['grants'] = [
  { name: 'isolation', granted: 'hardware, by qemu', by: 'the operator: KVM works on this host', beyond: null, phase: null },
  { name: 'memory', granted: '4096 MiB', by: 'sandbox.memoryMib: default', beyond: null, phase: null },
  { name: 'root', granted: 'during setup only', by: 'sandbox.root: default', beyond: null, phase: null },
  {
    name: 'hosts: setup',
    granted: 'registries (npm, yarn, pypi, crates, go, rubygems, maven, debian)',
    by: 'allow.setup: default',
    beyond: null,
    phase: 'setup',
  },
  { name: 'hosts: agent', granted: 'none', by: 'allow.agent: default', beyond: null, phase: 'agent' },
];

const refusedAttempt = (host: string): RunReport['egress'][number] => ({
  at: '2026-11-28T12:01:00Z',
  phase: 'agent',
  method: 'CONNECT',
  host,
  port: 443,
  path: null,
  decision: 'refused',
  rule: 'not on the list',
  wouldAllow: host,
  beyondCeiling: null,
  bytesIn: 0,
  bytesOut: 0,
  vm: 'agent',
});

const forbiddenAttempt = (host: string): RunReport['egress'][number] => ({
  ...refusedAttempt(host),
  phase: 'setup',
  rule: "beyond the operator's MAYFLY_ALLOWED_HOSTS",
  wouldAllow: null,
  beyondCeiling: host,
});

const installed = (vm: 'agent' | 'proof'): RunReport['egress'][number] => ({
  ...refusedAttempt('registry.npmjs.org'),
  phase: 'setup',
  decision: 'allowed',
  rule: 'allow registry.npmjs.org',
  wouldAllow: null,
  count: 41,
  bytesIn: 18_874_368,
  bytesOut: 96_412,
  vm,
});

function aReport(change: Partial<RunReport> = {}): RunReport {
  return {
    ...createReport(job.runId),
    summary:
      'A character that is no letter or digit became a dash wherever it stood, also at both ends of the title.\n\nDashes at the ends are removed now. I added a test with a question mark at both ends, and ran the whole suite.',
    resolves: true,
    patch: {
      baseSha: '4f'.repeat(20),
      files: ['src/slug.js', 'test/slug.test.js'].map((path) => ({ path, change: { kind: 'write', mode: '100644', content: new Uint8Array() } })),
    },
    proof: proven,
    steps: 9,
    usage: { inputTokens: 118_400, outputTokens: 3300, cachedInputTokens: 97_000 },
    costUsd: 0.21,
    models: [
      {
        name: 'anthropic/claude-sonnet-4-5',
        price: 'list price of 2026-10',
        steps: 9,
        usage: { inputTokens: 0, outputTokens: 0, cachedInputTokens: 0 },
        costUsd: 0.21,
      },
    ],
    context: [
      { item: 'issue', source: '#218', trust: 'anyone', characters: 212, hidden: 0 },
      { item: 'comment of grace', source: '#218', trust: 'write access', characters: 96, hidden: 2 },
      { item: 'instructions', source: 'AGENTS.md', trust: 'repository', characters: 1480, hidden: 0 },
    ],
    ...change,
  };
}

export const reports = {
  proven: aReport({ egress: [installed('agent'), refusedAttempt('fonts.googleapis.com'), installed('proof')], grants }),
  sensitive: aReport({
    sensitive: [
      { path: 'package.json', why: 'its scripts changed' },
      { path: 'Dockerfile', why: 'it decides what is built' },
    ],
    resolves: false,
    notes: ['The agent did not name: debug.log.'],
  }),
  noTests: aReport({ proof: nothingToRun, summary: 'Dashes at both ends of a slug are removed.' }),
  regressed: aReport({ proof: regressed, heldBranch: 'mayfly/issue-218-held' }),
  gaveUp: aReport({
    proof: null,
    heldBranch: 'mayfly/issue-218-held',
    steps: 200,
    costUsd: 3.92,
    usage: { inputTokens: 4_100_000, outputTokens: 61_000, cachedInputTokens: 0 },
  }),
  noChange: aReport({
    proof: null,
    patch: null,
    summary: 'The dash is there on purpose: `docs/urls.md` says that a leading dash marks a draft.\n\nNothing was changed.',
  }),
  setupFailed: aReport({
    proof: null,
    patch: null,
    steps: 0,
    costUsd: 0,
    models: [],
    usage: { inputTokens: 0, outputTokens: 0, cachedInputTokens: 0 },
    notes: ['The setup command "npm ci" ended with exit code 1: "npm error network request to https://npm.acme.example/left-pad failed".'],
    egress: [refusedAttempt('npm.acme.example'), forbiddenAttempt('registry.npmjs.org')],
  }),
};

export const published: FixOutcome = {
  kind: 'published',
  pullRequest: { number: 231, url: 'https://github.com/acme/engine/pull/231', title: '', draft: true, branch: 'mayfly/issue-218', headSha: '9c'.repeat(20) },
};

/** What a run has told half-way: the agent works, or the proof does. */
export const eventsToAgent: readonly RunEvent[] = [
  { kind: 'done', phase: 'boot', durationMs: 410, failed: false, vm: 'agent' },
  { kind: 'done', phase: 'clone', durationMs: 1900, failed: false, vm: 'agent' },
  { kind: 'done', phase: 'setup', durationMs: 11_800, failed: false, vm: 'agent' },
  { kind: 'done', phase: 'tests', durationMs: 4100, failed: false, vm: 'agent' },
  { kind: 'started', phase: 'solve', vm: 'agent' },
  { kind: 'step', number: 7, line: 'bash npm test 2>&1 | tail -20' },
];
export const eventsToProof: readonly RunEvent[] = [
  ...eventsToAgent,
  { kind: 'step', number: 9, line: 'submit' },
  { kind: 'done', phase: 'solve', durationMs: 164_000, failed: false, vm: 'agent' },
  { kind: 'started', phase: 'boot', vm: 'proof' },
  { kind: 'tested', tree: 'base', run: testsOnBase },
  { kind: 'tested', tree: 'base + tests of the patch', run: testsOfPatch },
];

export const template: readonly TemplateSection[] = parseTemplate(`<!-- Thank you! Please read CONTRIBUTING.md first. -->
## Description
Tell us what changes.
## Related issue
Fixes #
## How was this tested?
## Screenshots
## Checklist
- [ ] I have read CONTRIBUTING.md
- [ ] I have added tests that cover my change
- [ ] All new and existing tests pass
`);
