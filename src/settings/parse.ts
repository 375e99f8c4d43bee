/** One settings file: from its text to checked settings, or to problems that say where they are and how to mend them. */
import { z } from 'zod';
import { findNearest, shownText } from './problem.ts';
import type { Problem } from './problem.ts';
import { Settings, maxSettingsBytes, settingsPath } from './schema.ts';
import { parseYaml } from './yaml.ts';
import type { Place, YamlFile } from './yaml.ts';

/** A file that was read: what it says and where. */
export interface SettingsFile {
  readonly file: string;
  readonly settings: Settings;
  /** Where a key, or what is nearest to it, is written. */
  readonly placeOf: (path: readonly PropertyKey[]) => Place;
}

export type Parsed = { readonly file: SettingsFile } | { readonly problems: readonly Problem[] };

/** What is wrong with a file as a whole. */
export const wholeFile = (file: string, message: string): { readonly problems: readonly Problem[] } => ({
  problems: [{ file, line: 1, column: 1, key: '', message }],
});

export const tooLarge = `it is larger than ${maxSettingsBytes} bytes; leave out what is not needed`;

/** `file` is its name in problems. Never throws, whatever the text is. */
export function parseSettings(text: string, file = settingsPath): Parsed {
  if (Buffer.byteLength(text) > maxSettingsBytes) return wholeFile(file, tooLarge);
  const read = parseYaml(text.replace(/^\uFEFF/, ''));
  if ('troubles' in read) return { problems: read.troubles.map((trouble) => ({ file, ...trouble })) };
  const checked = Settings.safeParse(read.value ?? {}, { reportInput: true });
  if (checked.success) return { file: { file, settings: checked.data, placeOf: read.placeOf } };
  const problems = checked.error.issues.flatMap((issue) => flatten(issue)).flatMap((issue) => describe(issue, read));
  const sorted = problems.toSorted((left, right) => left.line - right.line || left.column - right.column);
  return { problems: sorted.slice(0, 20).map((problem) => ({ file, ...problem })) };
}

type Issue = z.core.$ZodIssue;

/** Of a value that may be one of several things, the problems of the one that it was meant to be. */
function flatten(issue: Issue): readonly Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const given = issue.input;
  const wanted = Array.isArray(given) ? 0 : typeof given === 'object' && given !== null ? 1 : -1;
  const meant = issue.errors[wanted];
  if (!meant) return [{ ...issue, code: 'custom', message: 'it is a list of hosts, or setup, agent and proof with a list each' }];
  return meant.flatMap((one) => flatten({ ...one, path: [...issue.path, ...one.path] }));
}

function describe(issue: Issue, read: YamlFile): readonly Omit<Problem, 'file'>[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return { ...read.placeOf(path), key: keyOf([...issue.path, clip(key)]), message: unknownKey(key, keysAt(issue.path)) };
    });
  }
  return [{ ...read.placeOf(issue.path), key: keyOf(issue.path), message: explain(issue) }];
}

const clip = (key: string): string => key.slice(0, 60).replace(/[^\x20-\x7e]/g, '?');
const keyOf = (path: readonly PropertyKey[]): string => path.map(String).join('.');

function unknownKey(key: string, known: readonly string[]): string {
  const nearest = findNearest(key, known);
  return nearest === null ? `there is no such key; the keys here are ${known.join(', ')}` : `there is no such key; did you mean ${nearest}?`;
}

function explain(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `it needs ${nouns[issue.expected] ?? issue.expected}, and this is ${nounOf(issue.input)}`;
    case 'invalid_value':
      return `it is ${issue.values.map(String).join(' or ')}${hint(issue)}`;
    case 'too_small':
      if (issue.origin === 'string') return 'it must not be empty';
      return issue.inclusive === false ? `it is more than ${issue.minimum}` : `it is ${limitWords(issue.origin, issue.minimum, 'least')}`;
    case 'too_big':
      return `it is ${limitWords(issue.origin, issue.maximum, 'most')}`;
    default:
      return issue.message;
  }
}

function limitWords(origin: string, bound: number | bigint, which: 'least' | 'most'): string {
  const unit = origin === 'string' ? ' characters' : origin === 'array' ? ' entries' : '';
  return `at ${which} ${bound}${unit}`;
}

function hint({ input, values }: z.core.$ZodIssueInvalidValue): string {
  if (typeof input !== 'string') return `, and this is ${nounOf(input)}`;
  const nearest = findNearest(input, values.map(String));
  return nearest === null ? `, not ${shownText(input)}` : `; did you mean ${nearest}?`;
}

const nouns: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'keys with values',
};

function nounOf(input: unknown): string {
  if (input === null) return 'nothing';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'string') return `the text ${shownText(input)}`;
  return typeof input === 'number' || typeof input === 'boolean' ? String(input) : 'a map of keys';
}

/** The keys that a map of the schema may have. */
export function keysAt(path: readonly PropertyKey[]): readonly string[] {
  let schema: z.core.$ZodType = Settings;
  for (const part of path) {
    const shape: Record<string, z.core.$ZodType> = shapeOf(schema);
    const next = shape[String(part)];
    if (!next) return [];
    schema = next;
  }
  return Object.keys(shapeOf(schema));
}

/** Of a map, also where it may be left out or be something else. */
export function shapeOf(schema: z.core.$ZodType): Record<string, z.core.$ZodType> {
  if (schema instanceof z.ZodOptional) return shapeOf(schema.unwrap());
  if (schema instanceof z.ZodUnion) return Object.assign({}, ...schema.options.map(shapeOf)) as Record<string, z.core.$ZodType>;
  return schema instanceof z.ZodObject ? schema.shape : {};
}
