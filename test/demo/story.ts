/** What the demo is about: a small repository with a bug, an issue, and the replies that a model would give. */
import type { ScriptedReply } from '../support/scripted-endpoint.ts';

export const repository = {
  owner: 'octo-org',
  name: 'slugs',
  private: true,
  files: {
    'package.json': `${JSON.stringify({ name: 'slugs', version: '1.0.0', type: 'module', license: 'MIT', scripts: { test: 'node --test' } }, null, 2)}\n`,
    'README.md': '# slugs\n\nTurns titles into addresses.\n',
    'src/slug.js': [
      '/** The last part of an address for a title: "Hello, World" becomes "hello-world". */',
      'export function slug(title) {',
      '  return title.toLowerCase().replace(/[^a-z0-9]+/g, "-");',
      '}',
      '',
    ].join('\n'),
    'test/slug.test.js': [
      'import assert from "node:assert/strict";',
      'import { test } from "node:test";',
      'import { slug } from "../src/slug.js";',
      '',
      'test("words are joined by dashes", () => {',
      '  assert.equal(slug("Hello, World"), "hello-world");',
      '});',
      '',
      'test("there is no dash at either end", () => {',
      '  assert.equal(slug("Hello, World!"), "hello-world");',
      '});',
      '',
    ].join('\n'),
  },
} as const;

export const issue = {
  title: 'slug() leaves a dash at the end',
  body: [
    '`slug("Hello, World!")` returns `hello-world-`. It should be `hello-world`.',
    '',
    'The same happens at the beginning: `slug("¿Qué?")` begins with a dash.',
    'There is a test for the end of a title already; it fails.',
  ].join('\n'),
} as const;

/** Written by hand, once, for this repository. Everything they cause is real. */
export const replies: readonly ScriptedReply[] = [
  { text: 'First I run the tests, to see it fail.', tools: [{ name: 'bash', input: { command: 'npm test 2>&1 | tail -40' } }] },
  { text: 'It fails as the issue says. Now the code.', tools: [{ name: 'read', input: { path: 'src/slug.js' } }] },
  {
    text: 'Is there a known recipe? This machine should not be able to ask.',
    tools: [{ name: 'bash', input: { command: 'curl -sS --max-time 10 https://example.com; ls /sys/class/net' } }],
  },
  {
    text: 'There is no way out, and none is needed. Dashes at both ends have to go.',
    tools: [{ name: 'edit', input: { path: 'src/slug.js', old: '.replace(/[^a-z0-9]+/g, "-");', new: '.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");' } }],
  },
  {
    text: 'A test for the beginning is missing.',
    tools: [
      {
        name: 'edit',
        input: {
          path: 'test/slug.test.js',
          old: '  assert.equal(slug("Hello, World!"), "hello-world");',
          new: '  assert.equal(slug("Hello, World!"), "hello-world");\n  assert.equal(slug("¿Hello?"), "hello");',
        },
      },
    ],
  },
  { text: 'Again, with both tests.', tools: [{ name: 'bash', input: { command: 'npm test 2>&1 | tail -20 && git diff --stat' } }] },
  {
    text: 'Done.',
    tools: [
      {
        name: 'submit',
        input: {
          summary:
            'A character that is no letter or digit became a dash wherever it stood, also at the ends of the title.\nDashes at both ends are removed now, and the test covers the beginning too.',
          files: ['src/slug.js', 'test/slug.test.js'],
          testCommand: 'npm test',
          resolves: true,
        },
      },
    ],
  },
];
