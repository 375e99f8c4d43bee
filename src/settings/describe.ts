/** The schema for people and editors: a row for every key, and the same as a JSON Schema. */
import { z } from 'zod';
import { keysAt } from './parse.ts';
import { Settings } from './schema.ts';

export interface KeyDescription {
  /** `limits.steps`. */
  readonly key: string;
  readonly meaning: string;
  readonly example: unknown;
}

interface Described {
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly anyOf?: readonly Described[];
  readonly properties?: Readonly<Record<string, Described>>;
}

/** Every key that has a value, in the order of the schema; `allow` is a list and a map, so it comes by itself and with its phases. */
export function describeKeys(): readonly KeyDescription[] {
  return listKeys(settingsJsonSchema(), []);
}

function listKeys({ properties = {} }: Described, path: readonly string[]): readonly KeyDescription[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const at = [...path, name];
    const own = { key: at.join('.'), meaning: schema.description ?? '', example: schema.examples?.[0] };
    const below = [schema, ...(schema.anyOf ?? [])].flatMap((one) => listKeys(one, at));
    return keysAt(at).length === 0 || schema.anyOf ? [own, ...below] : below;
  });
}

/** Draft 7, which editors know. https://json-schema.org/draft-07/schema */
export function settingsJsonSchema(): Readonly<Record<string, unknown>> {
  const schema = z.toJSONSchema(Settings, { io: 'input', target: 'draft-7' });
  return { ...schema, title: 'Settings of a repository for Mayfly', description: 'The file .github/mayfly.yml on the default branch.' };
}
