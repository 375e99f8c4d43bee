import { describe, expect, it } from 'vitest';
import { addPackageNames } from '../../../src/fix/repository-package-names.ts';
import { processorMs } from '../../support/processor-time.ts';

describe('addPackageNames', () => {
  it.each([
    ['package-lock.json', '"node_modules/a/node_modules/@babel/core": {"version": "7.0.0"}', '@babel/core'],
    ['yarn.lock', '"@babel/core@^7.0.0", "@babel/core@^7.1.0":', '@babel/core'],
    ['yarn.lock', 'left-pad@^1.0.0:', 'left-pad'],
    ['pnpm-lock.yaml', "  '@babel/core@7.0.0(supports-color@5.5.0)':", '@babel/core'],
    ['Cargo.lock', 'name = "serde_json"', 'serde_json'],
    ['go.sum', 'github.com/BurntSushi/toml v1.0.0/go.mod h1:abc=', 'github.com/BurntSushi/toml'],
    ['Gemfile.lock', '    rack-test (2.1.0)', 'rack-test'],
    ['requirements.txt', 'Zope.Interface==5.0', 'zope-interface'],
    ['poetry.lock', 'name = "zope.interface"', 'zope-interface'],
  ])('finds the name in %s', (_file, text, name) => {
    const words = new Set<string>();
    addPackageNames(words, text);

    expect(words).toContain(name);
  });

  it('reads a hostile file in no time', async () => {
    const hostile = ['node_modules/'.repeat(300_000), '@'.repeat(4_000_000)];

    expect(await processorMs(() => hostile.forEach((text) => addPackageNames(new Set(), text)))).toBeLessThan(2000);
  });
});
