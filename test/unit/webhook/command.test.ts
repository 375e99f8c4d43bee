import { describe, expect, test } from 'vitest';
import { findCommand } from '../../../src/webhook/command.ts';

const fix = (instruction: string) => ({ command: 'fix', instruction });
const help = { command: 'help', instruction: '' };
const stop = { command: 'stop', instruction: '' };

describe('a command', () => {
  test.each([
    ['/agent fix', fix('')],
    ['/agent Fix', fix('')],
    ['/AGENT fix', fix('')],
    ['  /agent fix', fix('')],
    ['Thanks!\n/agent fix', fix('')],
    ['Thanks!\r\n\r\n/agent fix\r\n', fix('')],
    ['/agent fix only the parser', fix('only the parser')],
    ['/agent use a map\n\n```js\nnew Map()\n```', fix('use a map\n\n```js\nnew Map()\n```')],
    ['/agent stop', stop],
    ['/agent Stop!', stop],
    ['/agent stop please', stop],
    ['/agent help', help],
    ['/agent', help],
    ['/agent status', help],
    ['/agent plan', help],
    ['/agent plan the migration and do it', fix('plan the migration and do it')],
    ['```\ncode\n```\n/agent fix', fix('')],
    ['/agent first\n/agent second', fix('first')],
    ['> /agent stop\n\n/agent fix', fix('')],
    ['`/agent stop`\n/agent fix', fix('')],
  ])('is found in %j', (comment, expected) => {
    expect(findCommand(comment, '/agent')).toEqual(expected);
  });

  test.each([
    'please /agent fix',
    '/agents fix',
    '/agentfix',
    '> /agent fix',
    '> quoted\n/agent fix',
    '>> /agent fix',
    '- /agent fix',
    '- item\n/agent fix',
    '1. /agent fix',
    '# /agent fix',
    '```\n/agent fix\n```',
    '~~~~\n```\n/agent fix\n~~~~',
    '```\n/agent fix',
    'text\n\n    /agent fix',
    '\t/agent fix',
    '`\n/agent fix\n`',
    '<!--\n/agent fix\n-->',
    '<pre>\n/agent fix\n</pre>',
    '<details>\n/agent fix\n</details>',
    '\\/agent fix',
    '&#47;agent fix',
    '**bold\n/agent fix**',
    '[\n/agent fix](https://example.org)',
    'text\u2028/agent fix',
    '\u200b/agent fix',
    `${'a\n'.repeat(2100)}/agent fix`,
    '',
  ])('is not found in %j', (comment) => {
    expect(findCommand(comment, '/agent')).toBeNull();
  });

  test.each([
    ['nested quotes and lists', '> - '.repeat(16_000)],
    ['nested quotes', '>'.repeat(60_000)],
    ['lists that go deeper line by line', Array.from({ length: 350 }, (_, depth) => `${'  '.repeat(depth)}- a`).join('\n')],
    ['many short lists', `${'- '.repeat(16)}a\n`.repeat(2000)],
    ['brackets', '[a]('.repeat(16_000)],
  ])('takes no time to be looked for in %s', (_name, hostile) => {
    const started = performance.now();

    findCommand(`/agent fix\n\n${hostile}`, '/agent');

    // Unbounded, the first of these takes 80 seconds.
    expect(performance.now() - started).toBeLessThan(1500);
  });
});
