/**
 * Paths by pattern: `*` and `?` within a name, `**` for any number of folders, `name/` for all that is in a folder. A
 * pattern without a slash means that name in any folder, as in .gitignore. Matched by hand, because a regular
 * expression made of a stranger's pattern can take for ever.
 */

/** Null, or what is wrong with a pattern, as the rest of a sentence. */
export function findGlobMistake(pattern: string): string | null {
  if (pattern === '' || pattern.length > 200) return 'has between 1 and 200 characters';
  if (pattern.startsWith('/')) return 'begins without a slash: it starts at the top of the repository';
  if (pattern.includes('\\')) return 'has forward slashes only';
  if (/[[\]{}!]/.test(pattern)) return 'knows *, ** and ? only';
  if (/[\p{C}]/u.test(pattern)) return 'has no invisible characters';
  const segments = pattern.replace(/\/$/, '').split('/');
  if (segments.some((segment) => ['', '.', '..'].includes(segment))) return 'has no empty part, . or ..';
  if (segments.some((segment) => segment !== '**' && segment.includes('**'))) return 'has ** only between slashes';
  return null;
}

/** Whether a path matches. Both are folded by the caller when case should not matter. */
export function matchesGlob(pattern: string, path: string): boolean {
  const inFolder = pattern.endsWith('/') ? `${pattern}**` : pattern;
  const whole = inFolder.includes('/') ? inFolder : `**/${inFolder}`;
  return matchParts(whole.split('/'), path.split('/'), (part) => part === '**', matchesName);
}

/** `*` any text, `?` one character. */
function matchesName(pattern: string, name: string): boolean {
  return matchParts(
    Array.from(pattern),
    Array.from(name),
    (part) => part === '*',
    (part, character) => part === '?' || part === character,
  );
}

/** Greedy with one step back, so at most pattern times subject. */
function matchParts(
  pattern: readonly string[],
  subject: readonly string[],
  isMany: (part: string) => boolean,
  isSame: (part: string, one: string) => boolean,
): boolean {
  let at = 0;
  let many = -1;
  let resume = 0;
  for (let index = 0; index < subject.length;) {
    const part = pattern[at];
    if (part !== undefined && isMany(part)) {
      many = at++;
      resume = index;
    } else if (part !== undefined && isSame(part, subject[index] ?? '')) {
      at++;
      index++;
    } else if (many >= 0) {
      at = many + 1;
      index = ++resume;
    } else return false;
  }
  while (at < pattern.length && isMany(pattern[at] ?? '')) at++;
  return at === pattern.length;
}
