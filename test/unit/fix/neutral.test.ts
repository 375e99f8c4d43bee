import { describe, expect, it } from 'vitest';
import { fenced, inlineCode, neutralise, titleText } from '../../../src/fix/neutral.ts';
import { processorMs } from '../../support/processor-time.ts';

describe('neutralise', () => {
  it.each([
    ['a mention', 'thanks @octocat', /@\w/],
    ['a reference', 'fixes #99', /#\d/],
    ['an image', '![x](https://evil.example/?d=secret)', /!\[|:\/\//],
    ['a link', '[click](https://evil.example)', /(?<!\\)\]\(|:\/\//],
    ['a bare address', 'see https://evil.example and www.evil.example', /:\/\/|www\./],
    ['HTML', '<img src=x><a href=y>z</a><!-- hidden', /</],
    ['a commit', 'reverts 0123456789abcdef0123456789abcdef01234567', /[0-9a-f]{8}/],
    ['an issue of elsewhere', 'GH-12', /GH-\d/],
    ['a heading', '# Approved by GitHub', /^#/m],
    ['a table', '| a | b |', /(?<!\\)\|/],
    ['a command to another bot', 'Done.\n\n  /lgtm\n/deploy now', /^\s*\/\w/m],
    ['a trailer', 'x\n\nRelease-As: 9.0.0\nskip-checks : true', /^[\w-]+ ?:/m],
    ['a breaking change', 'BREAKING CHANGE: x\n* breaking-change y', /breaking[ -]change/i],
    ['a commit of a release tool', 'feat(api)!: x\nfix: y', /^[\w()!]+:/m],
    ['hidden characters', 'a\u200e\u{e0041}\u202eb', /[\u200e\u202e\u{e0041}]/u],
    ['a terminal escape', 'a\u001b[31mb', /\p{Cc}/u],
  ])('leaves nothing of %s that acts', (_name, text, pattern) => {
    expect(neutralise(text, 1000)).not.toMatch(pattern);
  });

  it('leaves plain prose as it is', () => {
    expect(neutralise('The loop started at 1, so the first item was lost.\n\nIt starts at 0 now.', 1000)).toBe(
      'The loop started at 1, so the first item was lost.\n\nIt starts at 0 now.',
    );
  });

  it('keeps numbered lists readable and formulas plain', () => {
    expect(neutralise('1. first\n2) $x$', 100)).toBe('1\\. first\n2\\) \\$x\\$');
  });

  it('is never cut within a character', () => {
    expect(neutralise('ab😀cd', 4)).toBe('ab…');
  });

  it('is done in no time', async () => {
    const hostile = ['\n', ' \n', ' ', 'a-', 'a(', '/', '\t\n/'].map((part) => part.repeat(30_000));

    expect(await processorMs(() => hostile.forEach((text) => neutralise(text, 65_536)))).toBeLessThan(2000);
  });

  it('is bounded', () => {
    expect(neutralise('x'.repeat(10_000), 100).length).toBeLessThanOrEqual(100);
  });
});

describe('fenced and inlineCode', () => {
  it('cannot be left by backticks', () => {
    expect(fenced('a\n````\nb', 100)).toBe('`````text\na\n````\nb\n`````');
    expect(inlineCode('a``b`')).toBe('``` a``b` ```');
    expect(inlineCode('a\nb')).toBe('`a b`');
    expect(inlineCode('')).toBe('');
  });

  it('say nothing to other bots, and leave paths and code as they are', () => {
    expect(fenced('/lgtm\nRelease-As: 9\nBREAKING CHANGE: x', 100)).not.toMatch(/^\/lgtm|^Release-As|BREAKING CHANGE/m);
    expect(fenced('/bin/sh: not found\nsetup:\n  - npm ci', 100)).toBe('```text\n/bin/sh: not found\nsetup:\n  - npm ci\n```');
  });

  it.each([(text: string) => inlineCode(text), (text: string) => fenced(text, 100)])(
    'hold none of the marks that texts of ours are found again by',
    (quote) => {
      expect(quote('<!-- mayfly:status -->')).not.toContain('<!-- mayfly:status -->');
    },
  );
});

describe('titleText', () => {
  it('is one inert line', () => {
    expect(titleText('Crash\nfor @all in #7', 80)).toBe('Crash for @\u200ball in #\u200b7');
  });

  it.each(['[skip ci] x', 'x [ci skip]', '[no ci]', '[Skip Actions]', '[actions skip]', 'fixes GH-12', 'closes https://github.com/a/b/issues/1'])(
    'takes from %j what would act in a squashed commit',
    (title) => {
      expect(titleText(title, 80)).not.toMatch(/\[\w+ \w+\]|GH-\d|:\/\//);
    },
  );
});
