/** docs/configuration.md, from the schema in src/config.ts. `npm run docs` writes it; a test compares it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeSettings } from '../../src/config.ts';
import type { Setting } from '../../src/config.ts';
import { root } from './repository.ts';

export const configurationFile = 'docs/configuration.md';

const intro = `# Configuration

<!-- Written by \`npm run docs\` from src/config.ts; change it there. -->

Mayfly is configured by environment variables, which are read once at the start.
Every problem with them is printed at once, before any socket opens, and the exit code is 2.
\`npx mayfly doctor\` says what is missing on a host, and what to do about it.
What a repository may set for itself is in its \`.github/mayfly.yml\`: [settings.md](settings.md) has its keys.
`;

const code = (text: string) => `\`${text}\``;
const cell = (text: string) => text.replaceAll('|', '\\|');

function rowOf({ name, meaning, fallback, choices, isSecret, neededBy }: Setting): string {
  const words = choices.length > 0 ? ` One of ${choices.map(code).join(', ')}.` : '';
  const cells = [code(name), cell(meaning) + words, fallback === null ? '-' : code(fallback), isSecret ? 'yes' : '-', neededBy.join(', ') || '-'];
  return `| ${cells.join(' | ')} |`;
}

function listNeeded(settings: readonly Setting[], role: 'web' | 'worker'): string {
  const names = settings.filter(({ neededBy }) => neededBy.includes(role)).map(({ name }) => code(name));
  return `- \`mayfly start --role ${role}\` needs ${names.join(', ')}.`;
}

/** The whole page. */
export function configurationPage(settings: readonly Setting[] = describeSettings()): string {
  return [
    intro,
    '## What each role needs',
    '',
    listNeeded(settings, 'web'),
    listNeeded(settings, 'worker'),
    '- `--role all` needs what both need.',
    '- A worker also needs the keys of the vendors of `MAYFLY_MODEL`, `MAYFLY_MODELS` and `MAYFLY_FALLBACK_MODEL`.',
    '- `PRIVATE_KEY` does instead of `PRIVATE_KEY_PATH`.',
    '- Every other command starts without any of them.',
    '',
    '## Every variable',
    '',
    'A secret never appears in a log, a comment, an argument of a process, or a VM.',
    '',
    '| variable | meaning | default | secret | needed by |',
    '| --- | --- | --- | --- | --- |',
    ...settings.map(rowOf),
    '',
  ].join('\n');
}

if (import.meta.main) await writeFile(join(root, configurationFile), configurationPage());
