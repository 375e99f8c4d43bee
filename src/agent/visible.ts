/**
 * Text from outside as a person sees it on GitHub: what is hidden there must not reach the model. Markup goes by the
 * Markdown tree, characters go by Unicode category. This is noise reduction, not the boundary: the VM is the boundary.
 */
import { fromMarkdown } from 'mdast-util-from-markdown';

export interface Visible {
  readonly text: string;
  /** How many invisible characters and hidden pieces of markup were left out. */
  readonly dropped: { readonly characters: number; readonly markup: number };
}

type Root = ReturnType<typeof fromMarkdown>;
type Node = Root | Root['children'][number];

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Markdown without comments, tags, image descriptions, link titles, unused definitions and invisible characters. The rest stays as it was written. */
export function visibleMarkdown(source: string): Visible {
  const lines = source.replace(/\r\n?/g, '\n');
  const tamed = tame(lines);
  const edits = findHidden(tamed);
  const { text, dropped } = visibleText(applyEdits(tamed, edits));
  return { text: text.trim(), dropped: { characters: dropped.characters, markup: edits.length + (tamed === lines ? 0 : 1) } };
}

/** An emoji sequence, the one place where joiners and variation selectors are part of what is seen. */
const emoji = String.raw`\p{Extended_Pictographic}[\uFE0F\p{Emoji_Modifier}]?(?:\u200D\p{Extended_Pictographic}[\uFE0F\p{Emoji_Modifier}]?)*|[0-9#*]\uFE0F?\u20E3`;
/** Controls, formats, private use, unassigned, halves of pairs, whatever Unicode says may be ignored, the blank Braille cell, plane 14. */
const hidden = String.raw`(?![\t\n])\p{C}|\p{Default_Ignorable_Code_Point}|\u2800|[\u{E0000}-\u{EFFFF}]`;

/** Plain text without invisible characters. */
export function visibleText(source: string): Visible {
  let characters = 0;
  const text = source.replace(/\r\n?|[\u2028\u2029]/g, '\n').replace(new RegExp(`(${emoji})|${hidden}`, 'gu'), (_match, kept: string | undefined) => {
    if (kept === undefined) characters += 1;
    return kept ?? '';
  });
  return { text: text.normalize('NFC'), dropped: { characters, markup: 0 } };
}

/** Parsing Markdown is quadratic in nested quotes, open comments and brackets: 64 KiB of `>` take half a minute. Beyond what people write, text is cut. */
function tame(source: string): string {
  const flat = source.replace(/^((?:[ \t]*>){16})[ \t>]+/gm, '$1 ');
  return cutAt(cutAt(cutAt(flat, '<!', 200), '[', 4000), '**', 2000);
}

function cutAt(text: string, mark: string, most: number): string {
  let from = -1;
  for (let count = 0; count <= most; count++) {
    from = text.indexOf(mark, from + 1);
    if (from === -1) return text;
  }
  return text.slice(0, from);
}

function findHidden(source: string): Edit[] {
  const nodes = flatten(fromMarkdown(source));
  const referenced = new Set(nodes.filter((node) => node.type === 'linkReference').map((node) => node.identifier));
  return nodes.flatMap((node) => {
    const [start, end] = [node.position?.start.offset, node.position?.end.offset];
    if (start === undefined || end === undefined) return [];
    const was = source.slice(start, end);
    const text = seenOf(node, was, referenced);
    return text === was ? [] : [{ start, end, text }];
  });
}

/** In order of the source, without recursion: hostile text nests deeply. A node that is replaced as a whole is not entered. */
function flatten(root: Root): Node[] {
  const nodes: Node[] = [];
  const open: Node[] = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    nodes.push(node);
    if ('children' in node && !(node.type === 'link' && node.title)) open.push(...node.children.toReversed());
  }
  return nodes;
}

function seenOf(node: Node, was: string, referenced: ReadonlySet<string>): string {
  switch (node.type) {
    case 'html':
      return stripTags(was);
    case 'image':
    case 'imageReference':
      return '[image]';
    case 'definition':
      return referenced.has(node.identifier) ? `[${node.label ?? node.identifier}]: ${node.url}` : '';
    case 'link':
      return node.title ? `[${stripTags(node.children.map(proseOf).join(''))}](${node.url})` : was;
    case 'code':
      // What stands behind the language of a fence is shown nowhere.
      return was.replace(/^([`~]{3,}[ \t]*[\w+#.-]{0,30}).*/, '$1');
    case 'text':
      // Character references may spell what is invisible.
      return /&[#a-z]/i.test(was) ? node.value : was;
    default:
      return was;
  }
}

/** The words of a link that is written anew. */
function proseOf(node: Node): string {
  if ('value' in node) return node.value;
  return 'children' in node ? node.children.map(proseOf).join('') : '';
}

/** HTML without comments and tags; an open comment or tag hides the rest. The words between tags are seen, except in scripts and styles. */
function stripTags(html: string): string {
  return html
    .replace(/<!--[\s\S]*?(?:--!?>|$)/g, '')
    .replace(/<(script|style)\b[\s\S]*?(?:<\/\1\s*>|$)/gi, '')
    .replace(/<[/a-z](?:"[^"]{0,4000}"|'[^']{0,4000}'|[^<>"'])*>/gi, '')
    .replace(/<[!?/a-z][^>]*(?:>|$)/gi, '');
}

function applyEdits(source: string, edits: readonly Edit[]): string {
  let at = 0;
  let text = '';
  for (const edit of edits) {
    text += source.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return text + source.slice(at);
}
