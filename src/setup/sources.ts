/** apt's own list of archives: where this host gets Debian from, so that backports come from the same place. */

export interface DebianSource {
  readonly uri: string;
  /** A path, a fingerprint or a whole key block: carried over as it is. */
  readonly signedBy: string | null;
}

export const backportsFile = '/etc/apt/sources.list.d/mayfly-backports.sources';
export const defaultSource: DebianSource = { uri: 'http://deb.debian.org/debian', signedBy: '/usr/share/keyrings/debian-archive-keyring.gpg' };

interface Entry {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly signedBy: string | null;
}

const words = (text: string | undefined) => (text ?? '').split(/\s+/).filter((word) => word !== '');

/** `deb [signed-by=...] URI SUITE COMPONENT...` */
function parseOneLine(line: string): Entry | null {
  const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$/.exec(line.trim());
  if (!match?.[2] || !match[3]) return null;
  const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(match[1] ?? '')?.[1] ?? null;
  return { uris: [match[2]], suites: [match[3]], components: words(match[4]), signedBy };
}

/** One paragraph of `Key: value` lines; a line that starts with a space continues the value. */
function parseParagraph(paragraph: string): Entry | null {
  const fields = new Map<string, string>();
  let last = '';
  for (const line of paragraph.split('\n')) {
    if (line.startsWith('#')) continue;
    const field = /^([A-Za-z-]+):(.*)$/.exec(line);
    if (field?.[1]) fields.set((last = field[1].toLowerCase()), (field[2] ?? '').trim());
    else if (/^\s/.test(line) && last !== '') fields.set(last, `${fields.get(last) ?? ''}\n${line}`);
  }
  if (!words(fields.get('types')).includes('deb') || fields.get('enabled')?.toLowerCase() === 'no') return null;
  return {
    uris: words(fields.get('uris')),
    suites: words(fields.get('suites')),
    components: words(fields.get('components')),
    signedBy: fields.get('signed-by') ?? null,
  };
}

function parse(text: string): Entry[] {
  const isParagraphs = /^Types:/im.test(text);
  const entries = isParagraphs ? text.split(/\n\s*\n/).map(parseParagraph) : text.split('\n').map(parseOneLine);
  return entries.filter((entry) => entry !== null);
}

/** Looks through the text of every file in apt's configuration. */
export function readSources(texts: readonly string[], codename: string): { readonly main: DebianSource | null; readonly hasBackports: boolean } {
  const entries = texts.flatMap(parse).filter((entry) => entry.components.includes('main'));
  const main = entries.find((entry) => entry.suites.includes(codename));
  const uri = main?.uris[0];
  return {
    main: uri === undefined ? null : { uri, signedBy: main?.signedBy ?? null },
    hasBackports: entries.some((entry) => entry.suites.includes(`${codename}-backports`)),
  };
}

/** The file that adds backports, in the form of apt 1.1 and later. */
export function backportsText(source: DebianSource, codename: string): string {
  return [
    '# Written by `mayfly setup`: QEMU 8.2 or newer comes from here. Remove this file when Mayfly goes.',
    'Types: deb',
    `URIs: ${source.uri}`,
    `Suites: ${codename}-backports`,
    'Components: main',
    ...(source.signedBy === null ? [] : [`Signed-By: ${source.signedBy}`]),
    '',
  ].join('\n');
}
