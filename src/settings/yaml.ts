/**
 * The small part of YAML that a settings file may use: maps, lists and plain values. No anchors, aliases, tags or merge
 * keys, so a file means what it looks like and cannot grow. Every value keeps its place.
 */
import { Lexer, LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Node, Pair } from 'yaml';
import type { Problem } from './problem.ts';

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface YamlFile {
  readonly value: unknown;
  /** Of a key or, in a list, of the value itself; of what is nearest when there is none. */
  readonly placeOf: (path: readonly PropertyKey[]) => Place;
}

/** Deeper than any key of the schema. */
const maxDepth = 8;
/** What a file with every key has, many times over. */
const maxTokens = 4000;

type Trouble = Place & Pick<Problem, 'key' | 'message'>;

/** Throws nothing, whatever the text is. The text is at most `maxSettingsBytes` long: see `readSettings`. */
export function parseYaml(text: string): YamlFile | { readonly troubles: readonly Trouble[] } {
  const lines = new LineCounter();
  const at = (offset: number): Place => {
    const { line, col: column } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, column) };
  };
  const excess = findExcess(text);
  if (excess !== null) return { troubles: [{ ...excess, column: 1, key: '' }] };
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, strict: true, schema: 'core', merge: false, prettyErrors: false });
  const broken = [...document.errors, ...document.warnings].map((error) => ({ ...at(error.pos[0]), key: '', message: explain(error.code, error.message) }));
  if (broken.length > 0) return { troubles: broken.slice(0, 10) };
  const places = new Map<string, Place>();
  const walk = createWalk(at, places);
  const value = walk.visit(document.contents, []);
  if (walk.troubles.length > 0) return { troubles: walk.troubles.slice(0, 10) };
  return { value, placeOf: (path) => findPlace(places, path) };
}

/**
 * What would exhaust the parser, found by its lexer alone, which does not recurse: with 32 KiB, thousands of levels end
 * some versions of Node (the parser has no limit), and thousands of keys or errors take seconds.
 */
function findExcess(text: string): { readonly line: number; readonly message: string } | null {
  const deep = 'lists and maps are nested too deeply; no key needs more than three levels';
  let line = 1;
  let tokens = 0;
  let inFlow = 0;
  let inLine = 0;
  for (const token of new Lexer().lex(text)) {
    if (/^[ \t]/.test(token)) continue;
    if (token.includes('\n')) line += token.split('\n').length - 1;
    else if (++tokens > maxTokens) return { line, message: 'the file holds far more than there are keys' };
    if (token === '[' || token === '{') inFlow++;
    else if (token === ']' || token === '}') inFlow = Math.max(0, inFlow - 1);
    inLine = token === '-' || token === '?' ? inLine + 1 : 0;
    if (inFlow > maxDepth || inLine > maxDepth) return { line, message: deep };
  }
  return null;
}

const nameOf = (path: readonly PropertyKey[]): string => JSON.stringify(path.map(String));

function findPlace(places: ReadonlyMap<string, Place>, path: readonly PropertyKey[]): Place {
  for (let length = path.length; length >= 0; length--) {
    const place = places.get(nameOf(path.slice(0, length)));
    if (place) return place;
  }
  return { line: 1, column: 1 };
}

const forbiddenKeys = new Map([
  ['<<', 'a merge key (<<) is not allowed here; write the values out'],
  ['__proto__', '__proto__ is no key of the settings; leave it out'],
]);

interface Walk {
  readonly troubles: Trouble[];
  visit(node: unknown, path: readonly string[]): unknown;
}

/** From nodes to plain values, and no further than what is allowed. */
function createWalk(at: (offset: number) => Place, places: Map<string, Place>): Walk {
  const troubles: Trouble[] = [];
  const placeOf = (node: Node): Place => at(node.range?.[0] ?? 0);
  const refuse = (node: Node, path: readonly string[], message: string): undefined => void troubles.push({ ...placeOf(node), key: path.join('.'), message });
  const visit = (given: unknown, path: readonly string[]): unknown => {
    if (given === null || given === undefined) return null;
    const node = given as Node;
    if (path.length > 0 && !places.has(nameOf(path))) places.set(nameOf(path), placeOf(node));
    if (isAlias(node)) return refuse(node, path, 'an alias (*name) is not allowed here; write the value out');
    const { anchor, tag } = node as { anchor?: string; tag?: string };
    if (anchor !== undefined) return refuse(node, path, 'an anchor (&name) is not allowed here; leave it out');
    if (tag !== undefined) return refuse(node, path, 'a tag (!name) is not allowed here; leave it out');
    if (path.length > maxDepth) return refuse(node, path.slice(0, 3), 'it is nested too deeply; no key needs more than three levels');
    if (isSeq(node)) return node.items.map((item, index) => visit(item, [...path, String(index)]));
    if (isMap(node)) return Object.fromEntries(node.items.flatMap((pair) => visitPair(pair, path)));
    return isScalar(node) ? node.value : refuse(node, path, 'it is not a value');
  };
  const visitPair = (pair: Pair, path: readonly string[]): [string, unknown][] => {
    const key = pair.key as Node;
    const place = isScalar(key) ? key : null;
    if (place === null || typeof place.value !== 'string' || place.anchor !== undefined || place.tag !== undefined) {
      refuse(isScalar(key) || isMap(key) || isSeq(key) || isAlias(key) ? key : ({} as Node), path, 'a key is a plain word');
      return [];
    }
    const forbidden = forbiddenKeys.get(place.value);
    if (forbidden !== undefined) {
      refuse(place, path, forbidden);
      return [];
    }
    places.set(nameOf([...path, place.value]), placeOf(place));
    return [[place.value, visit(pair.value, [...path, place.value])]];
  };
  return { troubles, visit };
}

/** The parser's words where they are good, ours where people need a hint. */
function explain(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'this key is there twice; leave one of them out';
  if (code === 'TAG_RESOLVE_FAILED') return 'a tag (!name) is not allowed here; leave it out';
  if (code === 'MULTIPLE_DOCS') return 'the file holds more than one document; leave out the line with ---';
  if (code === 'TAB_AS_INDENT') return 'indent with spaces, not with tabs';
  return `it is not YAML: ${
    message
      .split('\n', 1)[0]
      ?.replace(/[^\x20-\x7e]/g, '?')
      .slice(0, 160) ?? ''
  }`;
}
