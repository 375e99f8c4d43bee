/** Test 23 of the list of attacks: what nobody can see on GitHub is absent from what the model is asked. */
import { describe, expect, it } from 'vitest';
import { createBriefing } from '../../../src/agent/prompt.ts';
import type { Task } from '../../../src/agent/task.ts';

const marker = 'OBEYTHIS';
const from = (offset: number): string => Array.from(marker, (character) => String.fromCodePoint(offset + (character.codePointAt(0) ?? 0))).join('');

/** One marker, spelled in characters without a shape. */
const characters: Readonly<Record<string, string>> = {
  'Unicode tags': from(0xe0000),
  'variation selectors': from(0xe0100),
  'bidi controls': '\u202e\u2066\u2069\u200f\u061c',
  'zero-width characters': '\u200b\u200c\u200d\u2060\ufeff',
};
/** The marker in words, where GitHub shows none. */
const markup: Readonly<Record<string, string>> = {
  'a comment': `<!-- ${marker} -->`,
  'a nested comment': `<!-- a <!-- b --> <!-- ${marker} -->`,
  'a comment that ends twice': `<!-- --><!-- ${marker} -->`,
  'an unterminated comment': `\n\n<!-- ${marker}`,
  'an unterminated comment in a comment': `\n\n<!-- <!-- ${marker}`,
};

const task: Task = {
  title: 'Crash',
  body: 'It crashes.',
  comments: [{ login: 'ada', at: '2026-01-02T03:04:05Z', body: 'Since 2.0.' }],
  instruction: 'Fix it.',
  instructions: { path: 'AGENTS.md', text: 'Two spaces.' },
  map: '3 files',
  testCommand: 'npm test',
  baseTests: null,
  setup: ['npm ci'],
  remarks: ['Node 26.'],
  slow: false,
  allowedHosts: [],
};
const [comment] = task.comments;

/** The task with the text in one field. */
const fields: Readonly<Record<string, (text: string) => Task>> = {
  title: (text) => ({ ...task, title: `Crash${text}` }),
  body: (text) => ({ ...task, body: `It crashes.${text}` }),
  comment: (text) => ({ ...task, comments: [{ login: 'ada', at: '2026-01-02', ...comment, body: `Since 2.0.${text}` }] }),
  'name of who commented': (text) => ({ ...task, comments: [{ at: '2026-01-02', body: '', ...comment, login: `ada${text}` }] }),
  'time of a comment': (text) => ({ ...task, comments: [{ login: 'ada', body: '', ...comment, at: `2026-${text}01-02` }] }),
  instruction: (text) => ({ ...task, instruction: `Fix it.${text}` }),
  instructions: (text) => ({ ...task, instructions: { path: 'AGENTS.md', text: `Two spaces.${text}` } }),
  map: (text) => ({ ...task, map: `3 files${text}` }),
};

const limits = { steps: 200, softTimeMs: 2_700_000, commandTimeoutMs: 300_000, longestMs: 1_800_000, windowTokens: 200_000 };
const asked = (changed: Task): string => createBriefing(changed, limits).text;

describe('test 23: the model is not asked with', () => {
  for (const [field, put] of Object.entries(fields)) {
    it.each(Object.entries(characters))(`%s in the ${field}`, (_name, text) => {
      const seen = asked(put(text));

      expect([...text].filter((character) => seen.includes(character))).toEqual([]);
    });
  }

  for (const field of ['body', 'comment', 'instruction']) {
    it.each(Object.entries(markup))(`%s in the ${field}`, (_name, text) => {
      expect(asked(fields[field]?.(text) ?? task)).not.toContain(marker);
    });
  }

  it('nothing less than what is seen', () => {
    for (const [field, put] of Object.entries(fields)) if (!/comment/.test(field)) expect(asked(put(` ${marker}`))).toContain(marker);
  });
});
