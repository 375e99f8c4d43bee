/** Texts that GitHub takes, however long their parts are: what is folded goes first, then whatever is longest. */

/** GitHub takes 65,536 characters, and the marks that a text is found again by are put below it. */
const maxTextLength = 65_000;
const leftOut = '_Left out: GitHub takes no longer text._';
const begin = '<details><summary>';

/** One part that is shown when somebody asks for it; nothing when there is nothing to fold. `summary` is the host's own. */
export function folded(summary: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [[`${begin}${summary}</summary>`, '', ...lines, '', '</details>'].join('\n'), ''];
}

/** The parts as lines of one text. Marks and the footer stay; only where `maxLength` leaves no room for them it is longer. */
export function fitText(parts: readonly string[], maxLength = maxTextLength): string {
  const kept = [...parts];
  let length = kept.reduce((sum, part) => sum + part.length + 1, -1);
  while (length > maxLength) {
    const at = findSpare(kept);
    const part = kept[at];
    if (part === undefined) break;
    const rest = part.length > leftOut.length ? leftOut : '';
    kept[at] = rest;
    length += rest.length - part.length;
  }
  return kept.join('\n');
}

/** Text from outside never begins with a tag, so what does is ours. */
function findSpare(parts: readonly string[]): number {
  const at = parts.findLastIndex((part) => part.startsWith(begin));
  if (at >= 0) return at;
  const lengths = parts.map((part) => (part.startsWith('<') ? 0 : part.length));
  const longest = Math.max(...lengths);
  return longest === 0 ? -1 : lengths.indexOf(longest);
}
