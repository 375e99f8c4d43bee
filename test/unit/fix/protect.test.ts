import { describe, expect, it } from 'vitest';
import { judgePath } from '../../../src/fix/policy.ts';
import { createProtection } from '../../../src/fix/protect.ts';
import type { ProtectedPaths } from '../../../src/fix/protect.ts';

const verdict = (path: string, more: Partial<ProtectedPaths> = {}): string =>
  createProtection({ refuse: [], ask: [], allow: [], ...more }).decide(path).verdict;

describe('the list of ours', () => {
  it.each(['package-lock.json', 'sub/yarn.lock', 'Dockerfile', 'build/Dockerfile.dev', 'api.Dockerfile', 'compose.yaml', 'docker-compose.prod.yml', 'go.sum'])(
    'asks for %s',
    (path) => {
      expect(verdict(path)).toBe('ask');
    },
  );

  it.each(['src/a.ts', 'package.json', 'Makefile', 'docs/github/x.md', 'lock.json'])('allows %s', (path) => {
    expect(verdict(path)).toBe('allow');
  });

  it.each(['apps/web/.claude/settings.json', 'apps/web/.husky/pre-commit', 'a/b/.vscode/tasks.json', 'a/.Cursor/rules/x.mdc', 'a/.yarn/releases/yarn.cjs'])(
    'refuses %s: whoever opens that folder runs it',
    (path) => {
      expect(verdict(path)).toBe('refuse');
      expect(verdict(path, { allow: ['a/', 'apps/**'] })).toBe('allow');
    },
  );

  it.each(['AGENTS.md', 'docs/Claude.md', '.VSCODE/tasks.json', '.github/ISSUE_TEMPLATE/a.md', 'ＣＯＤＥＯＷＮＥＲＳ', '.npmrc:stream'])(
    'refuses %s',
    (path) => {
      expect(verdict(path)).toBe('refuse');
    },
  );
});

describe('the settings', () => {
  it('refuse more, ask for more, and allow what is protected by default', () => {
    expect(verdict('migrations/1.sql', { refuse: ['migrations/'] })).toBe('refuse');
    expect(verdict('src/auth/x.ts', { ask: ['src/auth/**'] })).toBe('ask');
    expect(verdict('.vscode/tasks.json', { allow: ['.vscode/'] })).toBe('allow');
    expect(verdict('.github/ISSUE_TEMPLATE/a.md', { ask: ['.github/**'] })).toBe('ask');
  });

  it('count in the order refuse, ask, allow', () => {
    expect(verdict('a.sql', { refuse: ['*.sql'], ask: ['a.sql'], allow: ['a.sql'] })).toBe('refuse');
    expect(verdict('a.sql', { ask: ['*.sql'], allow: ['a.sql'] })).toBe('ask');
  });

  it('are read without regard to case', () => {
    expect(verdict('Migrations/1.SQL', { refuse: ['migrations/'] })).toBe('refuse');
    expect(verdict('.VSCode/tasks.json', { allow: ['.vscode/'] })).toBe('allow');
  });

  it.each(['.github/mayfly.yml', '.GitHub/MAYFLY.yml', '.github/workflows/x.yml', '.gitmodules', 'sub/.gitmodules', '.lfsconfig'])('never relax %s', (path) => {
    expect(verdict(path, { allow: ['**', '.github/**', path] })).toBe('refuse');
    expect(verdict(path, { ask: ['**'] })).toBe('refuse');
  });

  it('never allow what is no plain path', () => {
    const everything = createProtection({ refuse: [], ask: [], allow: ['**'] });

    for (const path of ['.git/config', '../x', 'git~1/x', 'a\\b', 'trailing.']) expect(judgePath(path, everything)).toMatchObject({ reason: 'patch_path' });
  });
});
