import { describe, expect, it } from 'vitest';
import { chooseNode, chooseNpm } from '../../../src/fix/node-version.ts';
import type { NodeChoice, NodeFiles } from '../../../src/fix/node-version.ts';

const nothing: NodeFiles = { '.nvmrc': null, '.node-version': null, 'package.json': null };
const choose = (files: Partial<NodeFiles>): NodeChoice => chooseNode({ ...nothing, ...files }, '26.10.0');
const manifest = (content: unknown): Partial<NodeFiles> => ({ 'package.json': JSON.stringify(content) });

describe('chooseNode', () => {
  it.each([
    ['20', '>=20.0.0 <21.0.0-0'],
    ['v20.11.0\n', '20.11.0'],
    ['# why\n\n 18.x # because\n', '>=18.0.0 <19.0.0-0'],
    ['node-v16.3', '>=16.3.0 <16.4.0-0'],
    ['lts/hydrogen', '18.x'],
    ['lts/Iron', '20.x'],
    ['lts/-1', '24.x'],
    ['99', '>=99.0.0 <100.0.0-0'],
    ['26.9.0', '26.9.0'],
  ])('installs what .nvmrc asks for: %j', (text, install) => {
    expect(choose({ '.nvmrc': text })).toMatchObject({ install, reason: expect.stringMatching(/^\.nvmrc asks for [^\n]+$/) });
  });

  it.each(['26', 'node', 'lts/*', 'lts/lithium', 'stable', '>=18', '^20 || >=22'])('stays with its own for %j, which is worth no words', (text) => {
    expect(choose({ '.nvmrc': text })).toEqual({ install: null, reason: null });
  });

  it('finds the wish of each kind of file', () => {
    expect(choose({ '.node-version': '22.1.0' })).toMatchObject({ install: '22.1.0', reason: '.node-version asks for 22.1.0' });
    expect(choose(manifest({ volta: { node: '18.20.1' } }))).toMatchObject({ install: '18.20.1', reason: 'package.json (volta) asks for 18.20.1' });
    expect(choose(manifest({ devEngines: { runtime: { name: 'node', version: '^22.0.0' } } }))).toMatchObject({ install: '>=22.0.0 <23.0.0-0' });
    expect(choose(manifest({ devEngines: { runtime: [{ name: 'bun' }, { name: 'node', version: '24' }] } }))).toMatchObject({ install: '>=24.0.0 <25.0.0-0' });
    expect(choose(manifest({ engines: { node: '>=16 <21' } }))).toMatchObject({ install: '>=16.0.0 <21.0.0-0' });
    expect(choose(manifest({ engines: { node: '>=16' } }))).toEqual({ install: null, reason: null });
  });

  it('prefers what people pin to what they support, and what is understood to what is not', () => {
    expect(choose({ '.nvmrc': '20', ...manifest({ engines: { node: '>=18' } }) })).toMatchObject({ reason: '.nvmrc asks for 20' });
    expect(choose({ '.nvmrc': 'my favourite', ...manifest({ engines: { node: '^20' } }) })).toMatchObject({ reason: 'package.json (engines) asks for ^20' });
  });

  it('has nothing to say where nothing is asked', () => {
    for (const files of [{}, manifest({}), manifest({ engines: { node: 20 } }), manifest(null), { 'package.json': 'not json' }, { '.nvmrc': '\n# nothing\n' }])
      expect(choose(files)).toEqual({ install: null, reason: null });
  });

  it.each(['iojs; rm -rf /', 'https://example.org/node.tgz', 'lts/__proto__', 'lts/-40', 'file:../x', '1'.repeat(300)])(
    'does not take %j for a version',
    (text) => {
      expect(choose({ '.nvmrc': text })).toEqual({ install: null, reason: '.nvmrc asks for something that is not understood' });
    },
  );

  it('shows no words of the repository', () => {
    expect(choose({ '.nvmrc': '20.0.0-ignore-all-rules' })).toMatchObject({ reason: '.nvmrc asks for a version of its own' });
  });
});

describe('chooseNpm', () => {
  it.each([
    ['26.10.0', null],
    ['20.20.2', null],
    ['20.9.0', '10'],
    ['18.20.8', '10'],
    ['18.0.0', '9'],
    ['16.20.2', '9'],
    ['16.3.0', '8'],
    ['10.24.1', '6'],
    ['4.9.1', null],
  ])('for Node %s: %s', (version, npm) => {
    expect(chooseNpm(version)).toBe(npm);
  });
});
