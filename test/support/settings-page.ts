/** The keys in docs/settings.md, and docs/mayfly.schema.json, from the schema in src/settings. `npm run docs` writes both; a test compares them. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig } from '../../src/config.ts';
import { createOperator } from '../../src/operator.ts';
import { describeKeys, settingsJsonSchema } from '../../src/settings/describe.ts';
import type { KeyDescription } from '../../src/settings/describe.ts';
import type { Operator } from '../../src/settings/operator.ts';
import { showValue } from '../../src/settings/resolve.ts';
import { defaults, whatNullMeans } from '../../src/settings/values.ts';
import type { Key } from '../../src/settings/values.ts';
import { root } from './repository.ts';

export const settingsFile = 'docs/settings.md';
export const schemaFile = 'docs/mayfly.schema.json';

const marks = { begin: '<!-- keys: written by `npm run docs` from src/settings; change them there. -->', end: '<!-- end of keys -->' };

const code = (text: string) => `\`${text}\``;
const cell = (text: string) => text.replaceAll('|', '\\|');

/** With everything that an operator can say. */
const operator: Operator = createOperator(loadConfig('tool', { MAYFLY_ALLOWED_HOSTS: 'example.org', MAYFLY_HOLD_CI: '1' }));

function fallbackOf(key: string): string {
  if (key === 'allow') return 'none';
  if (!Object.hasOwn(defaults, key)) return '-';
  const value = defaults[key as Key];
  return value === null ? (whatNullMeans[key as Key] ?? '-') : Array.isArray(value) ? showValue(value) : code(String(value));
}

function variablesOf(key: string): string {
  const words = [operator.defaults[key as Key], operator.ceilings[key as Key], ...(key === 'allow' ? [operator.ceilings['allow.agent']] : [])];
  const names = [...new Set(words.flatMap((word) => (word ? [word.variable] : [])))];
  return names.length === 0 ? '-' : names.map(code).join(', ');
}

/** As it is written in a file. */
const exampleOf = (example: unknown): string => code(Array.isArray(example) ? `[${example.map(String).join(', ')}]` : String(example));

const rowOf = ({ key, meaning, example }: KeyDescription): string =>
  `| ${[code(key), cell(meaning), cell(exampleOf(example)), fallbackOf(key), variablesOf(key)].join(' | ')} |`;

/** The table between the marks. */
export function settingsTable(keys: readonly KeyDescription[] = describeKeys()): string {
  const head = ['| key | meaning | example | default | operator |', '| --- | --- | --- | --- | --- |'];
  return [marks.begin, '', ...head, ...keys.map(rowOf), '', marks.end].join('\n');
}

export const schemaText = (): string => `${JSON.stringify(settingsJsonSchema(), null, 2)}\n`;

if (import.meta.main) {
  const page = await readFile(join(root, settingsFile), 'utf8');
  const [before, rest] = [page.slice(0, page.indexOf(marks.begin)), page.slice(page.indexOf(marks.end) + marks.end.length)];
  await writeFile(join(root, settingsFile), `${before}${settingsTable()}${rest}`);
  await writeFile(join(root, schemaFile), schemaText());
}
