/** Layers over each other, key by key: default, operator's default, organization, repository; then the operator's ceilings. */
import { narrow } from './ceilings.ts';
import { foldPresets, withinCeiling } from './host-rules.ts';
import { findRegistryRule, parseImageName } from './images.ts';
import type { Operator, Word } from './operator.ts';
import type { SettingsFile } from './parse.ts';
import { usualRegistries } from './presets.ts';
import { shownText } from './problem.ts';
import type { Problem } from './problem.ts';
import { defaults, keys, readKey } from './values.ts';
import type { Key, Values } from './values.ts';

export interface Layers {
  /** Null where there is no file. */
  readonly repository: SettingsFile | null;
  /** Looked at only where the repository extends it; `name` is `acme/.github`. */
  readonly organization: { readonly name: string; readonly file: SettingsFile | null } | null;
  readonly operator: Operator;
}

/** What a run works by, and whose word each value is. */
export interface Effective {
  readonly values: Values;
  /** `default`, `operator (MAYFLY_MAX_STEPS)`, `repository, line 7`, ... */
  readonly origins: Readonly<Record<Key, string>>;
  /** What a file asked for and the operator's ceiling does not give, as it is shown. */
  readonly beyond: Partial<Readonly<Record<Key, string>>>;
}

export type Resolved = { readonly effective: Effective } | { readonly problems: readonly Problem[] };

/** Whether the organization's file has to be read as well. */
export const wantsOrganization = (repository: SettingsFile | null): boolean => repository?.settings.extends === 'organization';

export function resolveSettings(layers: Layers): Resolved {
  const resolved = keys.map((key) => [key, resolveKey(key, layers)] as const);
  const problems = [...findForeignModel(layers), ...findForeignImage(layers)];
  if (problems.length > 0) return { problems };
  return {
    effective: {
      values: Object.fromEntries(resolved.map(([key, { value }]) => [key, value])) as unknown as Values,
      origins: Object.fromEntries(resolved.map(([key, { origin }]) => [key, origin])) as Record<Key, string>,
      beyond: Object.fromEntries(resolved.flatMap(([key, { beyond }]) => (beyond === undefined ? [] : [[key, beyond]]))),
    },
  };
}

interface Said<K extends Key> {
  readonly value: Values[K];
  readonly origin: string;
  readonly beyond?: string;
}

function resolveKey<K extends Key>(key: K, layers: Layers): Said<K> {
  const { repository, operator } = layers;
  const organization = wantsOrganization(repository) ? layers.organization : null;
  const said = readLayer(key, repository, 'repository') ??
    readLayer(key, organization?.file ?? null, `organization ${organization?.name ?? ''}`) ??
    readWord<K>(operator.defaults[key]) ?? { value: defaults[key], origin: 'default', who: 'default' };
  return applyFloor(withRegistries(key, applyCeiling(key, said, operator.ceilings[key]), operator), operator.floors[key]);
}

interface Layer<K extends Key> extends Said<K> {
  /** `repository`; what the line is left out of. */
  readonly who: string;
}

function readLayer<K extends Key>(key: K, file: SettingsFile | null, who: string): Layer<K> | undefined {
  const said = file && readKey(file.settings, key);
  return said ? { value: said.value, origin: `${who}, line ${file.placeOf(said.path).line}`, who } : undefined;
}

const readWord = <K extends Key>(word: Word<Values[K]> | undefined): Layer<K> | undefined =>
  word && { value: word.value, origin: word.given ? `operator (${word.variable})` : 'default', who: 'operator' };

function applyCeiling<K extends Key>(key: K, { value, origin }: Said<K>, ceiling: Word<Values[K]> | undefined): Said<K> {
  if (!ceiling) return { value, origin };
  const narrowed = narrow(key, value, ceiling.value);
  if (JSON.stringify(narrowed) === JSON.stringify(value)) return { value, origin };
  if (key === 'protect.refuse') return { value: narrowed, origin: `${origin}; operator adds ${showValue(ceiling.value)} (${ceiling.variable})` };
  const bound = `operator's ceiling ${showValue(ceiling.value)} (${ceiling.variable})`;
  if (origin === 'default') return { value: narrowed, origin: bound };
  // Of a list, what of it is not there any more.
  const beyond = Array.isArray(value) && Array.isArray(narrowed) ? value.filter((one: unknown) => !narrowed.includes(one)) : value;
  return { value: narrowed, origin: `${origin} asked ${showValue(value)}, ${bound}`, beyond: showValue(beyond) };
}

/** Setup reaches registries that no file names, as far as the operator lets it: where that is not all of them, it is said beside what files say. */
function withRegistries<K extends Key>(key: K, said: Said<K>, { ceilings }: Operator): Said<K> {
  const ceiling = key === 'allow.setup' ? ceilings['allow.setup'] : undefined;
  if (!ceiling) return said;
  const left = withinCeiling(usualRegistries, ceiling.value);
  if (usualRegistries.every((host) => left.includes(host))) return said;
  return { ...said, origin: `${said.origin}; operator leaves of the registries: ${showValue(foldPresets(left))} (${ceiling.variable})` };
}

/** What the host has no smaller. */
function applyFloor<K extends Key>(said: Said<K>, floor: Word<Values[K]> | undefined): Said<K> {
  const { value, origin } = said;
  if (typeof value !== 'number' || typeof floor?.value !== 'number' || value >= floor.value) return said;
  return { value: floor.value, origin: `${origin} asked ${showValue(value)}, the least here is ${showValue(floor.value)} (${floor.variable})` };
}

/** A value on one line, for people. */
export function showValue(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(String).join(', ');
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value);
}

/** A model that the operator does not allow cannot be narrowed to one that he does: that is said, where it is written. */
function findForeignModel({ repository, organization, operator: { models } }: Layers): readonly Problem[] {
  const from = wantsOrganization(repository) ? [repository, organization?.file] : [repository];
  const file = from.find((one) => one?.settings.model !== undefined);
  const model = file?.settings.model;
  if (!file || model === undefined || models === null || models.includes(model)) return [];
  const message = `${shownText(model)} is not allowed here; choose one of: ${models.join(', ')}`;
  return [{ file: file.file, ...file.placeOf(['model']), key: 'model', message }];
}

/** The same of an image: another one in its place would not have what the repository needs. */
function findForeignImage({ repository, organization, operator: { imageRegistries } }: Layers): readonly Problem[] {
  const from = wantsOrganization(repository) ? [repository, organization?.file] : [repository];
  const file = from.find((one) => one?.settings.sandbox?.image !== undefined);
  const image = file?.settings.sandbox?.image;
  const name = image === undefined ? null : parseImageName(image);
  if (!file || image === undefined || name === null || imageRegistries === null || findRegistryRule(name, imageRegistries) !== null) return [];
  const allowed = imageRegistries.length === 0 ? 'none is' : `these are: ${imageRegistries.join(', ')}`;
  const message = `${shownText(image)} comes from a registry that is not allowed here; ${allowed} (the operator's MAYFLY_IMAGE_REGISTRIES)`;
  return [{ file: file.file, ...file.placeOf(['sandbox', 'image']), key: 'sandbox.image', message }];
}
