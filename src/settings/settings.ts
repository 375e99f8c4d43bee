/**
 * The repository's settings, `.github/mayfly.yml`: read from the default branch only, strict, small.
 * A key enters the schema together with the code that obeys it.
 */
import { parseDocument } from 'yaml';
import { z } from 'zod';

export const settingsPath = '.github/mayfly.yml';
export const maxSettingsBytes = 32_768;

const Command = z.string().trim().min(1).max(4096);

/** A name of the zone database, in its own capitals: the guest's C library finds no other, and then takes UTC without a word. */
function isTimeZone(name: string): boolean {
  if (name.length > 64 || !/^[A-Z]\w*(?:[/+-]\w+)*$/.test(name)) return false;
  try {
    const known = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
    return known === name || known.toLowerCase() !== name.toLowerCase();
  } catch {
    return false;
  }
}

function isLocale(name: string): boolean {
  const [, language, country] = /^([a-z]{2,3})_([A-Z]{2})\.UTF-8$/.exec(name) ?? [];
  return name === 'C.UTF-8' || (language !== undefined && Intl.DateTimeFormat.supportedLocalesOf(`${language}-${country}`).length > 0);
}

export const Settings = z.strictObject({
  setup: z
    .array(Command)
    .max(20)
    .optional()
    .meta({ description: 'Commands that prepare a fresh clone, run in order with the package registries reachable.', example: ['npm ci'] }),
  test: Command.optional().meta({ description: 'The command whose exit code proves a fix.', example: 'npm test' }),
  allow: z
    .array(z.string().max(253))
    .max(50)
    .optional()
    .meta({
      description: 'Hosts that setup, agent and proof may reach. Package registries are reachable during setup without it.',
      example: ['registry.npmjs.org'],
    }),
  timezone: z.string().refine(isTimeZone, { error: 'not the name of a time zone, such as Europe/Berlin' }).optional().meta({
    description: 'Time zone (TZ) of every command in the VM. Default: UTC.',
    example: 'Europe/Berlin',
  }),
  locale: z.string().refine(isLocale, { error: 'not the name of a locale, such as de_DE.UTF-8' }).optional().meta({
    description:
      'Locale (LANG) of every command in the VM. Default: C.UTF-8. Node and Java know every locale; for programs of C it has to be installed by `setup`.',
    example: 'de_DE.UTF-8',
  }),
  model: z
    .string()
    .trim()
    .min(1)
    .max(220)
    .optional()
    .meta({ description: 'The model that works here, as vendor/name; one of those that the operator allows.', example: 'anthropic/claude-sonnet-4-5' }),
  ci: z
    .enum(['hold', 'run'])
    .optional()
    .meta({ description: 'Whether workflows run on our commits at once, or only after a person releases them.', example: 'hold' }),
});
export type Settings = z.infer<typeof Settings>;

/** Settings, or one sentence that says what is wrong where. YAML aliases are refused: they can grow without bound. */
export function parseSettings(text: string): { readonly settings: Settings } | { readonly problem: string } {
  const document = parseDocument(text, { uniqueKeys: true, strict: true, schema: 'core' });
  const broken = document.errors[0] ?? document.warnings[0];
  if (broken) return { problem: broken.message.split('\n')[0] ?? 'not YAML' };
  try {
    const parsed = Settings.safeParse(document.toJS({ maxAliasCount: 0 }) ?? {});
    if (parsed.success) return { settings: parsed.data };
    return { problem: z.prettifyError(parsed.error).replaceAll('\n', ' ').slice(0, 500) };
  } catch {
    return { problem: 'aliases are not allowed' };
  }
}
