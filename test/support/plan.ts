/** A plan of a repository that asks for nothing. */
import type { Plan } from '../../src/fix/plan.ts';

export const barePlan: Plan = {
  setup: [],
  test: null,
  allow: { setup: [], agent: [], proof: [] },
  ci: 'hold',
  model: null,
  node: { install: null, reason: null },
  gaps: [],
  instructions: null,
  map: '',
  environment: {},
  sandbox: { image: null, cpus: 2, memoryMib: 4096, diskGib: 10, root: false },
  protect: { refuse: [], ask: [], allow: [] },
  manners: { title: { kind: 'sentence', capital: true }, template: null },
};
