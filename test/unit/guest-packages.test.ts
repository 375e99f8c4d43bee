import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';

const packagesOf = (names: string): readonly string[] => loadConfig('tool', { MAYFLY_GUEST_PACKAGES: names }).MAYFLY_GUEST_PACKAGES;

describe('MAYFLY_GUEST_PACKAGES', () => {
  it('takes names of Debian packages', () => {
    expect(packagesOf('')).toEqual([]);
    expect(packagesOf('g++ libssl-dev, default-jdk-headless\nphp8.2')).toEqual(['g++', 'libssl-dev', 'default-jdk-headless', 'php8.2']);
  });

  it.each(['-o=Dir=/', 'vim-', 'a', 'Tree', 'tree;rm', '../x', '?narrow', 'tree=1.0', 'tree/sid', 'tree:arm64', '$(id)'])(
    'refuses %s, which apt would take for something else or not at all',
    (name) => {
      expect(() => packagesOf(`tree ${name}`)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
    },
  );
});
