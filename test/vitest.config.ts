import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

/** Projects by what they need: unit and repo nothing, integration a real Redis and git, vm real guests, e2e and soak all of it, images buildah and runc. */
const project = (name: string, extra: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], ...extra },
});

// Every processor: Vitest leaves one to itself, which is half of a small machine.
const maxWorkers = '100%';
/** The limits of tests end what hangs, and say nothing about speed: ten times what the slowest takes here. */
const hangsAfterMs = 120_000;
/** Much of what real programs and guests take is waiting, for each other and for time to pass. */
const more = availableParallelism() + 2;

/** What takes minutes begins first, so that no processor is left with it at the end. */
const longFiles = [
  'e2e/runs',
  'vm/conformance',
  'vm/private-registry',
  'vm/repository-template',
  'e2e/secrets',
  'vm/egress-inspected',
  'vm/egress',
  'vm/egress-direct',
  'vm/layers',
  'vm/qemu-boundary',
];
const rank = ({ moduleId }: TestSpecification): number => {
  const found = longFiles.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
  return found === -1 ? longFiles.length : found;
};
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const bySize = await super.sort(files); // oxlint-disable-line unicorn/no-array-sort -- Vitest's own, and no array's
    return bySize.toSorted((one, other) => rank(one) - rank(other));
  }
}

const reportFile = process.env['MAYFLY_TEST_REPORT'];

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    passWithNoTests: false,
    // What is polled for is bound to come: only the limit of its test ends the wait, however slow the machine.
    expect: { poll: { timeout: 20_000 } },
    // The tests run as root, and nothing of root may stay in a user's checkout.
    cache: false,
    sequence: { sequencer: LongestFirst },
    // .ci/run adds up its totals from this file.
    ...(reportFile ? { reporters: ['default', ['json', { outputFile: reportFile }]] } : {}),
    projects: [
      // No module here has state, and every test puts back the clock that it replaced: one process loads a module once for all files.
      project('unit', { testTimeout: hangsAfterMs, isolate: false, maxWorkers, sequence: { groupOrder: 1 } }),
      project('repo', { testTimeout: hangsAfterMs, isolate: false, maxWorkers, sequence: { groupOrder: 1 } }),
      project('integration', { testTimeout: hangsAfterMs, hookTimeout: hangsAfterMs, maxWorkers: more, sequence: { groupOrder: 2 } }),
      project('vm', { testTimeout: 2 * hangsAfterMs, hookTimeout: 600_000, maxWorkers: more, sequence: { groupOrder: 3 } }),
      project('e2e', { maxConcurrency: 8, testTimeout: 600_000, hookTimeout: 600_000, maxWorkers: more, sequence: { groupOrder: 3 } }),
      // What only `npm run test:soak` and .ci/run do: long stories, the same again and again, whatever can be killed or misbehave.
      // One file after the other: each of them takes the machine to its limits.
      project('soak', { maxConcurrency: 8, testTimeout: 600_000, hookTimeout: 600_000, fileParallelism: false, sequence: { groupOrder: 4 } }),
      // Only `npm run test:images` and .ci/run: `npm test` asks for no program that a run does not need.
      project('images', { testTimeout: 300_000, hookTimeout: 600_000, fileParallelism: false, sequence: { groupOrder: 5 } }),
    ],
  },
});
