/**
 * JUnit XML, as far as it names tests and says how they ended. The files are written by what is judged: one pass, no
 * document type, no entity but the five of XML and characters by number; what is not well-formed says nothing at all.
 */
import type { StateList, TestState } from './results.ts';

/** A tag with at most 40 attributes. Its parts cannot be matched in two ways, so it takes linear time. */
const tag = /<(\/?)([\w:.-]{1,60})((?:\s+[\w:.-]{1,60}\s*=\s*(?:"[^"<]*"|'[^'<]*')){0,40})\s*(\/?)>/y;
const skipped: Readonly<Record<string, string>> = { '<![CDATA[': ']]>', '<!--': '-->', '<?': '?>' };

/** Any number of documents, one after the other. False when they are not as they should be: then the list is of no use. */
export function readJunit(text: string, list: StateList): boolean {
  let open: { readonly name: string; state: TestState } | null = null;
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', at)) {
    const other = Object.keys(skipped).find((start) => text.startsWith(start, at));
    if (other !== undefined) {
      const end = text.indexOf(skipped[other] ?? '', at + other.length);
      if (end < 0) return false;
      at = end;
      continue;
    }
    tag.lastIndex = at;
    const [whole = '', closing, element = '', attributes = '', single] = tag.exec(text) ?? [];
    if (whole === '') return false;
    at += whole.length;
    if (element === 'testcase') {
      // A test in a test, or an end without a beginning.
      if ((closing === '') !== (open === null)) return false;
      if (closing === '') open = { name: nameOf(attributes), state: 'passed' };
      if (closing === '' && single === '') continue;
      if (open !== null) list.add(open.name, open.state);
      open = null;
    } else if (open !== null && closing === '') {
      if (element === 'failure' || element === 'error') open.state = 'failed';
      else if (element === 'skipped' && open.state === 'passed') open.state = 'skipped';
    }
  }
  return open === null;
}

function nameOf(attributes: string): string {
  const found = new Map<string, string>();
  for (const [, name = '', double, single] of attributes.matchAll(/([\w:.-]{1,60})\s*=\s*(?:"([^"]*)"|'([^']*)')/g)) {
    if (name === 'classname' || name === 'name') found.set(name, decode((double ?? single ?? '').slice(0, 1000)));
  }
  return [found.get('classname'), found.get('name')].filter((part) => part !== undefined && part !== '').join(' > ');
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function decode(text: string): string {
  return text.replace(
    /&(?:(lt|gt|amp|quot|apos)|#(\d{1,7})|#x([\da-f]{1,6}));/gi,
    (whole, name: string | undefined, decimal?: string, hexadecimal?: string) => {
      if (name !== undefined) return entities[name.toLowerCase()] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hexadecimal ?? '', 16) : Number(decimal);
      return code > 0 && code <= 0x10_ff_ff ? String.fromCodePoint(code) : whole;
    },
  );
}
