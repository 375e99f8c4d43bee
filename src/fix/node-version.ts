/** Which Node the repository asks for, and whether the guest's own will do. Files of the base commit in, an answer out. */
import { Range, satisfies } from 'semver';
import { field, parseJson } from './manifest.ts';

/** Null: there is no such file. */
export interface NodeFiles {
  readonly '.nvmrc': string | null;
  readonly '.node-version': string | null;
  readonly 'package.json': string | null;
}

export interface NodeChoice {
  /** The range to be installed, in the words of npm and safe to hand to it; null when the guest's own Node stays. */
  readonly install: string | null;
  /** Who asks for what, in words; null when the repository asks for nothing else than the guest has. */
  readonly reason: string | null;
}

/** Lines of long-term support by their names: https://github.com/nodejs/Release/blob/main/CODENAMES.md */
const codenames = ['argon', 'boron', 'carbon', 'dubnium', 'erbium', 'fermium', 'gallium', 'hydrogen', 'iron', 'jod', 'krypton', 'lithium'];
const majorOf = (codename: string): number => 4 + 2 * codenames.indexOf(codename);
/** What nvm and its like take for "a recent one": https://github.com/nvm-sh/nvm#usage */
const recent = new Set(['node', 'stable', 'latest', 'current', 'system', 'default', 'lts', 'lts/*']);
const maxRangeLength = 200;

/** The first source that says something which can be understood decides: what people pin comes before what they support. */
export function chooseNode(files: NodeFiles, guestVersion: string): NodeChoice {
  let unreadable: string | null = null;
  for (const { source, text } of wishes(files)) {
    const range = readRange(text, guestVersion);
    if (range === null) {
      unreadable ??= source;
      continue;
    }
    // The Node that is there anyway is worth no words.
    return satisfies(guestVersion, range) ? { install: null, reason: null } : { install: range, reason: `${source} asks for ${show(text)}` };
  }
  return { install: null, reason: unreadable && `${unreadable} asks for something that is not understood` };
}

function wishes(files: NodeFiles): readonly { source: string; text: string }[] {
  const manifest = parseJson(files['package.json']);
  const runtimes = [field(manifest, 'devEngines', 'runtime')].flat();
  return [
    { source: '.nvmrc', text: firstLine(files['.nvmrc']) },
    { source: '.node-version', text: firstLine(files['.node-version']) },
    { source: 'package.json (volta)', text: field(manifest, 'volta', 'node') },
    {
      source: 'package.json (devEngines)',
      text: field(
        runtimes.find((runtime) => field(runtime, 'name') === 'node'),
        'version',
      ),
    },
    { source: 'package.json (engines)', text: field(manifest, 'engines', 'node') },
  ].flatMap(({ source, text }) => (typeof text === 'string' && text.trim() !== '' ? [{ source, text: text.trim() }] : []));
}

const firstLine = (text: string | null): string | undefined =>
  text
    ?.split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .find((line) => line !== '');

/** A range without names and tags; null when the text is none. */
function readRange(text: string, guestVersion: string): string | null {
  const name = text.toLowerCase();
  if (recent.has(name)) return '*';
  const [, line] = /^lts\/(.+)$/.exec(name) ?? [];
  if (line !== undefined) return readLine(line, Number.parseInt(guestVersion, 10));
  if (text.length > maxRangeLength) return null;
  try {
    return new Range(text.replace(/^node-?(?=v?\d)/i, '')).range || '*';
  } catch {
    return null;
  }
}

/** `hydrogen`, or `-1` for the line before the newest; a new line begins with every second major version. */
function readLine(line: string, guestMajor: number): string | null {
  const major = /^-\d{1,2}$/.test(line) ? guestMajor - (guestMajor % 2) + 2 * Number(line) : majorOf(line);
  return major < 4 ? null : `${major}.x`;
}

/** Numbers and signs only: these words go to people and to the model. */
function show(text: string): string {
  if (recent.has(text.toLowerCase())) return text;
  return /^(?:[\dvx.^~<>=|*\s-]{1,60}|lts\/[\w*-]{1,12})$/i.test(text) ? text : 'a version of its own';
}

/** Each npm, and the Nodes that it runs on (`engines` of the package npm). The first is in the template. */
const npmReleases: readonly (readonly [release: string, nodes: string])[] = [
  ['11', '^20.17.0 || >=22.9.0'],
  ['10', '^18.17.0 || >=20.5.0'],
  ['9', '^14.17.0 || ^16.13.0 || >=18.0.0'],
  ['8', '^12.13.0 || ^14.15.0 || >=16'],
  ['6', '>=6.2.0'],
];

/** The npm that has to be installed beside this Node; null when the template's runs on it, or none does. */
export function chooseNpm(nodeVersion: string): string | null {
  const index = npmReleases.findIndex(([, nodes]) => satisfies(nodeVersion, nodes));
  return index <= 0 ? null : (npmReleases[index]?.[0] ?? null);
}
