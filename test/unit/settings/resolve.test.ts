import { describe, expect, it } from 'vitest';
import { expandPresets } from '../../../src/settings/host-rules.ts';
import type { Operator, Word } from '../../../src/settings/operator.ts';
import { silentOperator } from '../../../src/settings/operator.ts';
import { usualRegistries } from '../../../src/settings/presets.ts';
import { formatProblem } from '../../../src/settings/problem.ts';
import { readSettings } from '../../../src/settings/read.ts';
import type { FoundFile } from '../../../src/settings/read.ts';
import { defaults, keys } from '../../../src/settings/values.ts';
import type { Key } from '../../../src/settings/values.ts';

const word = <T>(value: T, variable = 'MAYFLY_X', given = true): Word<T> => ({ value, variable, given });

interface World {
  readonly repository?: string;
  readonly organization?: string;
  readonly operator?: Partial<Operator>;
}

async function resolve({ repository, organization, operator }: World) {
  const found = (text: string | undefined): Promise<FoundFile> => Promise.resolve(text === undefined ? null : { text });
  const shared = { name: 'acme/.github', read: () => found(organization) };
  return await readSettings({ repository: () => found(repository), organization: shared }, { ...silentOperator, ...operator });
}

async function say(key: Key, world: World): Promise<readonly [unknown, string]> {
  const resolved = await resolve(world);
  if ('problems' in resolved) throw new Error(resolved.problems.map(formatProblem).join('\n'));
  return [resolved.effective.values[key], resolved.effective.origins[key]];
}

describe('layers', () => {
  it('are default, operator, organization, repository', async () => {
    const organization = 'limits:\n  steps: 90\n';
    const operator = { defaults: { 'limits.steps': word(80, 'MAYFLY_MAX_STEPS') } };

    expect(await say('limits.steps', {})).toEqual([200, 'default']);
    expect(await say('limits.steps', { operator })).toEqual([80, 'operator (MAYFLY_MAX_STEPS)']);
    expect(await say('limits.steps', { operator, organization, repository: 'extends: organization\n' })).toEqual([90, 'organization acme/.github, line 2']);
    expect(await say('limits.steps', { operator, organization, repository: 'extends: organization\nlimits:\n  steps: 70\n' })).toEqual([
      70,
      'repository, line 3',
    ]);
  });

  it('call a variable that is not set a default', async () => {
    expect(await say('limits.steps', { operator: { defaults: { 'limits.steps': word(150, 'MAYFLY_MAX_STEPS', false) } } })).toEqual([150, 'default']);
  });

  it('have no organization where the repository does not extend it', async () => {
    expect(await say('ci', { organization: 'ci: run', repository: 'test: npm test' })).toEqual(['hold', 'default']);
    expect(await say('ci', { organization: 'ci: run' })).toEqual(['hold', 'default']);
    expect(await say('ci', { repository: 'extends: organization' })).toEqual(['hold', 'default']);
  });

  it('take a list whole from one of them', async () => {
    const organization = 'protect:\n  refuse: [a/]\n';

    expect(await say('protect.refuse', { organization, repository: 'extends: organization\nprotect:\n  refuse: [b/]\n' })).toEqual([
      ['b/'],
      'repository, line 3',
    ]);
  });

  it('take one list of hosts for all phases, or one for each', async () => {
    expect(await say('allow.agent', { repository: 'allow: [a.example]' })).toEqual([['a.example'], 'repository, line 1']);
    expect(await say('allow.agent', { repository: 'allow:\n  agent: [a.example]' })).toEqual([['a.example'], 'repository, line 2']);
    expect(await say('allow.proof', { repository: 'allow:\n  agent: [a.example]' })).toEqual([[], 'default']);
  });

  it('stop at a file that is broken, and name it', async () => {
    const resolved = await resolve({ repository: 'extends: organization', organization: 'tests: x' });

    expect('problems' in resolved ? resolved.problems.map(formatProblem) : []).toEqual([
      'acme/.github: .github/mayfly.yml:1:1 tests: there is no such key; did you mean test?',
    ]);
  });

  it('give every key a value and an origin', async () => {
    const resolved = await resolve({});

    expect(resolved).toMatchObject({ effective: { values: defaults } });
    expect('effective' in resolved ? Object.keys(resolved.effective.origins) : []).toEqual([...keys]);
  });
});

describe("the operator's ceiling", () => {
  const ceilings = (more: Operator['ceilings']): Partial<Operator> => ({ ceilings: more });

  it.each<[Key, string, Operator['ceilings'], unknown, string]>([
    ['limits.steps', 'limits: {steps: 300}', { 'limits.steps': word(200) }, 200, "repository, line 1 asked 300, operator's ceiling 200 (MAYFLY_X)"],
    ['limits.steps', 'limits: {steps: 100}', { 'limits.steps': word(200) }, 100, 'repository, line 1'],
    ['limits.costUsd', 'limits: {costUsd: 9}', { 'limits.costUsd': word(2.5) }, 2.5, "repository, line 1 asked 9, operator's ceiling 2.5 (MAYFLY_X)"],
    [
      'sandbox.isolation',
      'sandbox: {isolation: emulation}',
      { 'sandbox.isolation': word('syscall') },
      'syscall',
      "repository, line 1 asked emulation, operator's ceiling syscall (MAYFLY_X)",
    ],
    ['sandbox.isolation', 'sandbox: {isolation: hardware}', { 'sandbox.isolation': word('syscall') }, 'hardware', 'repository, line 1'],
    ['sandbox.root', 'sandbox: {root: true}', { 'sandbox.root': word(false) }, false, "repository, line 1 asked yes, operator's ceiling no (MAYFLY_X)"],
    ['sandbox.root', 'sandbox: {root: true}', { 'sandbox.root': word(true) }, true, 'repository, line 1'],
    ['ci', 'ci: run', { ci: word('hold') }, 'hold', "repository, line 1 asked run, operator's ceiling hold (MAYFLY_X)"],
    ['protect.refuse', 'protect: {refuse: [a/]}', { 'protect.refuse': word(['b/']) }, ['a/', 'b/'], 'repository, line 1; operator adds b/ (MAYFLY_X)'],
    ['sandbox.isolation', '', { 'sandbox.isolation': word('hardware') }, 'hardware', "operator's ceiling hardware (MAYFLY_X)"],
  ])('of %s, with %j', async (key, repository, more, ...said) => {
    expect(await say(key, { repository, operator: ceilings(more) })).toEqual(said);
  });

  it.each([
    [14, 14, 'repository, line 1'],
    [4, 10, 'repository, line 1 asked 4, the least here is 10 (MAYFLY_GUEST_DISK_GIB)'],
    [50, 20, "repository, line 1 asked 50, operator's ceiling 20 (MAYFLY_MAX_GUEST_DISK_GIB)"],
  ])('and the least that the host has, for a disk of %i GiB', async (wanted, value, origin) => {
    const operator = {
      ceilings: { 'sandbox.diskGib': word(20, 'MAYFLY_MAX_GUEST_DISK_GIB') },
      floors: { 'sandbox.diskGib': word(10, 'MAYFLY_GUEST_DISK_GIB') },
    };

    expect(await say('sandbox.diskGib', { repository: `sandbox: {diskGib: ${wanted}}`, operator })).toEqual([value, origin]);
  });

  it.each([
    ['example.org', 'example.org', true],
    ['EXAMPLE.org', 'example.ORG', true],
    ['*.example.org', 'a.b.example.org', true],
    ['*.example.org', '*.example.org', true],
    ['*.example.org', '*.a.example.org', true],
    ['*.example.org', 'example.org', false],
    ['a.example.org', '*.example.org', false],
    ['*.example.org', 'evilexample.org', false],
    ['example.org', 'example.org:8443', false],
    ['example.org:8443', 'example.org:8443', true],
  ])('of hosts %s opens %s: %s', async (ceiling, host, opens) => {
    const [hosts] = await say('allow.agent', { repository: `allow: ["${host}"]`, operator: ceilings({ 'allow.agent': word([ceiling]) }) });

    expect(hosts).toEqual(opens ? [host] : []);
  });

  it.each([
    ['r.example', 'GET r.example/a/*', ['GET r.example/a/*']],
    ['GET r.example/a/*', 'r.example', ['GET r.example/a/*']],
    ['GET *.r.example/a/*', 's.r.example', ['GET s.r.example/a/*']],
    ['GET r.example/a/*', 'GET r.example/a/b', ['GET r.example/a/b']],
    ['GET r.example/a/*', 'r.example/a/b/*', ['r.example/a/b/*']],
    ['GET r.example/a/*', 'GET,POST r.example/*', ['GET r.example/a/*']],
    ['GET r.example/a/*', 'POST r.example/a/b', []],
    ['GET r.example/a/*', 'GET r.example/ab', []],
    ['GET r.example/a/*', 'GET other.example/a/b', []],
    ['POST r.example', 'r.example', ['POST r.example']],
    ['registry.npmjs.org', 'npm', ['registry.npmjs.org']],
    ['pypi.org', 'pypi', ['pypi.org']],
  ])('of hosts %s leaves of %s: %j', async (ceiling, entry, left) => {
    const [hosts] = await say('allow.agent', { repository: `allow: ["${entry}"]`, operator: ceilings({ 'allow.agent': word([ceiling]) }) });

    expect(hosts).toEqual(left);
  });

  it.each([
    ['', ['npm', 'pypi'], 'default; operator leaves of the registries: npm, pypi (MAYFLY_X)'],
    ['allow: [npm.corp.example]', ['npm.corp.example'], 'repository, line 1; operator leaves of the registries: none (MAYFLY_X)'],
    [
      'allow: [npm]',
      ['npm.corp.example', 'files.pythonhosted.org'],
      "repository, line 1 asked registry.npmjs.org, operator's ceiling npm.corp.example, files.pythonhosted.org (MAYFLY_X); operator leaves of the registries: files.pythonhosted.org (MAYFLY_X)",
    ],
    ['', ['*.npmjs.org', ...usualRegistries], 'default'],
  ])('of hosts says of the registries of setup what is left: %j within %j', async (repository, ceiling, origin) => {
    const hosts = word(expandPresets(ceiling));

    const [, said] = await say('allow.setup', { repository, operator: ceilings({ 'allow.setup': hosts, 'allow.agent': hosts }) });
    const [, later] = await say('allow.agent', { repository, operator: ceilings({ 'allow.setup': hosts, 'allow.agent': hosts }) });

    expect(said).toBe(origin);
    expect(later).not.toContain('registries');
  });

  it('of models is a problem where another one is written', async () => {
    const resolved = await resolve({ repository: 'test: x\nmodel: a/other', operator: { models: ['a/one', 'a/two'] } });

    expect('problems' in resolved ? resolved.problems.map(formatProblem) : []).toEqual([
      '.github/mayfly.yml:2:1 model: "a/other" is not allowed here; choose one of: a/one, a/two',
    ]);
    expect(await say('model', { repository: 'model: a/two', operator: { models: ['a/one', 'a/two'] } })).toEqual(['a/two', 'repository, line 1']);
  });
});
