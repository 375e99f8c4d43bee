/**
 * Text from a model or a VM, made safe to publish on GitHub: no mention, no reference, no closing keyword, no link,
 * no image, no HTML, no command to another bot, no trailer, whatever it says. It stays readable; nothing of it acts.
 */

const joiner = '\u200b';

/** In a code span nobody sees HTML as such, but we would: our own hidden markers are looked for in the source of a text. */
const unmark = (text: string): string => text.replaceAll('<!--', `<!${joiner}--`);

/** Model prose as inert Markdown, at most `maxLength` characters. */
export function neutralise(text: string, maxLength: number): string {
  return (
    clip(visible(text), maxLength)
      .replace(/[\\`*_{}[\]<>|~$]/g, (character) => (character === '<' ? '&lt;' : character === '>' ? '&gt;' : `\\${character}`))
      .replace(/&(?!(lt|gt);)/g, '&amp;')
      .replace(/@(?=\w)/g, `@${joiner}`)
      .replace(/#(?=\d)/g, `#${joiner}`)
      .replace(/\b(GH)-(?=\d)/gi, `$1-${joiner}`)
      .replace(/:\/\//g, `:${joiner}//`)
      .replace(/\bwww\./gi, `www${joiner}.`)
      .replace(/\b[0-9a-f]{7,64}\b/gi, (hex) => hex.replace(/.{6}(?=.)/g, `$&${joiner}`))
      .replace(/^([^\S\n]*)([#>+=-])(?=\s|$)/gm, '$1\\$2')
      .replace(/^([^\S\n]*\d+)([.)])(?=\s|$)/gm, '$1\\$2')
      .replace(/^([^\S\n]*)(-{3,}|={3,})/gm, '$1\\$2')
      .replace(/^([^\S\n]*\/)(?=\w)/gm, `$1${joiner}`)
      // Of a commit, when a squash merge makes one of the text: a trailer, or a type that release tools read.
      .replace(/^([^\S\n]*[a-z][\w-]*(?:\([^()\n]{0,100}\))?!?)(?=[^\S\n]*:)/gim, `$1${joiner}`)
      .replace(breaking, `$1${joiner}`)
      .trim()
  );
}

/** Release tools take it for a new major version, wherever they find it. */
const breaking = /\b(BREAKING)(?=[\s-]CHANGE)/gi;

/** Programs that listen to comments do not know what a code block is. Paths and lines of other programs stay as they are. */
const unhear = (text: string): string =>
  text
    .replace(/^([^\S\n]*\/)(?=[a-z][\w-]*(?:\s|$))/gim, `$1${joiner}`)
    .replace(/^([^\S\n]*[a-z]+)(?=-[\w-]*:)/gim, `$1${joiner}`)
    .replace(breaking, `$1${joiner}`);

/** Output of a command as a fenced block: a fence longer than any run of backticks inside it. */
export function fenced(text: string, maxLength: number): string {
  const body = unhear(unmark(clip(visible(text), maxLength)));
  const longest = Math.max(2, ...[...body.matchAll(/`+/g)].map((match) => match[0].length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}text\n${body.trimEnd()}\n${fence}`;
}

/** A short piece (path, host, command) as inline code: one line, no way out of the code span. */
export function inlineCode(text: string, maxLength = 200): string {
  const body = unmark(clip(visible(text).replace(/\s+/g, ' '), maxLength));
  const longest = Math.max(0, ...[...body.matchAll(/`+/g)].map((match) => match[0].length));
  const fence = '`'.repeat(longest + 1);
  if (body === '') return '';
  return `${fence}${/^`|`$/.test(body) ? ` ${body} ` : body}${fence}`;
}

/**
 * One line for a title: no control characters, no mention, no reference. A squash merge makes it a commit message, where
 * closing keywords and `[skip ci]` act.
 */
export function titleText(text: string, maxLength: number): string {
  return clip(visible(text).replace(/\s+/g, ' ').trim(), maxLength)
    .replace(/@(?=\w)/g, `@${joiner}`)
    .replace(/#(?=\d)/g, `#${joiner}`)
    .replace(/\b(GH)-(?=\d)/gi, `$1-${joiner}`)
    .replace(/:\/\//g, `:${joiner}//`)
    .replace(/\[(?=[\w\s]*\b(?:skip|no)\b)/gi, `[${joiner}`)
    .replace(breaking, `$1${joiner}`);
}

/** Drops terminal escapes and every character that nobody can see, but tab and line break. */
export function visible(text: string): string {
  return (
    text
      // oxlint-disable-next-line no-control-regex -- terminal escapes begin with one
      .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-_])/g, '')
      .replace(/\r\n?/g, '\n')
      .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\u{e0000}-\u{e0fff}]/gu, (character) => (character === '\n' || character === '\t' ? character : ''))
  );
}

/** Never ends in half a character: JSON with one in it is refused. */
const clip = (text: string, maxLength: number): string =>
  text.length <= maxLength ? text : `${text.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$/, '')}…`;
