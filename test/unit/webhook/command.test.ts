import { describe, expect, test } from 'vitest';
import { findCommand } from '../../../src/webhook/command.ts';
import { processorMs } from '../../support/processor-time.ts';

const fix = (instruction: string) => ({ command: 'fix', instruction });
const plan = (instruction: string) => ({ command: 'plan', instruction });
const alone = (command: string) => ({ command, instruction: '' });

// Test 45 of the threat model: in a quote, in a code fence, twice in one comment.
describe('a command (test 45)', () => {
  test.each([
    ['/agent fix', fix('')],
    ['/agent Fix', fix('')],
    ['/AGENT fix', fix('')],
    ['  /agent fix', fix('')],
    ['Thanks!\n/agent fix', fix('')],
    ['Thanks!\r\n\r\n/agent fix\r\n', fix('')],
    ['/agent fix only the parser', fix('only the parser')],
    ['/agent use a map\n\n```js\nnew Map()\n```', fix('use a map\n\n```js\nnew Map()\n```')],
    ['/agent stop', alone('stop')],
    ['/agent Stop!', alone('stop')],
    ['/agent stop please', alone('stop')],
    ['/agent please stop.', alone('stop')],
    ['/agent stop\n\nIt goes the wrong way.', alone('stop')],
    ['/agent stop using globals', fix('stop using globals')],
    ['/agent approve', alone('approve')],
    ['/agent approve only admins', fix('approve only admins')],
    ['/agent resume', alone('resume')],
    ['/agent resume parsing after an error', fix('resume parsing after an error')],
    ['/agent retry', alone('retry')],
    ['/agent retry the request three times', fix('retry the request three times')],
    ['/agent status?', alone('status')],
    ['/agent status codes above 500 are lost', fix('status codes above 500 are lost')],
    ['/agent ci', alone('ci')],
    ['/agent CI fails on Windows', fix('CI fails on Windows')],
    ['/agent help', alone('help')],
    ['/agent help me out here', fix('help me out here')],
    ['/agent', fix('')],
    ['/agent stpo', alone('unknown')],
    ['/agent lgtm!', alone('unknown')],
    ['/agent please', alone('unknown')],
    ['/agent refactor\nthe parser', fix('refactor\nthe parser')],
    ['/agent #12', fix('#12')],
    ['/agent 修复这个问题', fix('修复这个问题')],
    ['/agent plan', plan('')],
    ['/agent plan the migration first', plan('the migration first')],
    ['/agent Plan:', fix('Plan:')],
    ['/agent plan\n- one\n- two', plan('- one\n- two')],
    ['```\ncode\n```\n/agent fix', fix('')],
    ['/agent the first\n/agent second', fix('the first')],
    ['/agent stop\n/agent fix', alone('stop')],
    ['> /agent stop\n\n/agent fix', fix('')],
    ['`/agent stop`\n/agent fix', fix('')],
  ])('is found in %j', (comment, expected) => {
    expect(findCommand(comment)).toEqual(expected);
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
    expect(findCommand(comment)).toBeNull();
  });

  test.each([
    ['nested quotes and lists', '> - '.repeat(16_000)],
    ['nested quotes', '>'.repeat(60_000)],
    ['lists that go deeper line by line', Array.from({ length: 350 }, (_, depth) => `${'  '.repeat(depth)}- a`).join('\n')],
    ['many short lists', `${'- '.repeat(16)}a\n`.repeat(2000)],
    ['brackets', '[a]('.repeat(16_000)],
  ])('takes no time to be looked for in %s', async (_name, hostile) => {
    // Unbounded, the first of these takes 80 seconds.
    expect(await processorMs(() => findCommand(`/agent fix\n\n${hostile}`))).toBeLessThan(1500);
  });
});
