import { defineConfig } from 'vitest/config';

/** Projects by what they need: unit and repo nothing, integration a real Redis and git, vm real guests, e2e all of it, images buildah and runc. */
const project = (name: string, extra: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], ...extra },
});

// Every processor: Vitest leaves one to itself, which is half of a small machine.
const maxWorkers = '100%';

const reportFile = process.env['MAYFLY_TEST_REPORT'];

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    passWithNoTests: false,
    // The tests run as root, and nothing of root may stay in a user's checkout.
    cache: false,
    // .ci/run adds up its totals from this file.
    ...(reportFile ? { reporters: ['default', ['json', { outputFile: reportFile }]] } : {}),
    projects: [
      // No module here has state, and every test puts back the clock that it replaced: one process loads a module once for all files.
      project('unit', { testTimeout: 10_000, isolate: false, maxWorkers, sequence: { groupOrder: 1 } }),
      project('repo', { testTimeout: 30_000, isolate: false, maxWorkers, sequence: { groupOrder: 1 } }),
      project('integration', { testTimeout: 30_000, hookTimeout: 30_000, maxWorkers, sequence: { groupOrder: 1 } }),
      // One guest keeps a processor busy under emulation, so these come by themselves, after everything else.
      project('vm', { testTimeout: 120_000, hookTimeout: 600_000, fileParallelism: false, sequence: { groupOrder: 2 } }),
      // What runs beside each other within a file there is mostly waiting.
      // Only `npm run test:images` and .ci/run: `npm test` asks for no program that a run does not need.
      project('images', { testTimeout: 300_000, hookTimeout: 600_000, fileParallelism: false, sequence: { groupOrder: 4 } }),
      project('e2e', { maxConcurrency: 8, testTimeout: 300_000, hookTimeout: 600_000, fileParallelism: false, sequence: { groupOrder: 3 } }),
    ],
  },
});
