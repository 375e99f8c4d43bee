/** The repository's template for pull requests: where it is, and what is in it that we keep. */
import type { Snapshot } from '../git/mirror.ts';

/** What a template asks for, under one heading; the first section may have none. */
export interface TemplateSection {
  /** `## What changed` without the signs; null before the first heading. */
  readonly heading: string | null;
  readonly level: number;
  /** Texts behind the boxes to be ticked. */
  readonly boxes: readonly string[];
}

/** For Mayfly alone, in front of those that GitHub knows; names in lower case. */
const ours = '.github/mayfly_pull_request_template.md';
/** https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests/creating-a-pull-request-template-for-your-repository */
const places = [ours, '.github/pull_request_template.md', 'pull_request_template.md', 'docs/pull_request_template.md'];
const maxBytes = 32_768;
const maxSections = 30;
const maxBoxes = 60;

/** Of the base commit, so that a pull request cannot bring its own. Null when there is none that can be read. */
export async function readPullTemplate(snapshot: Snapshot, signal: AbortSignal): Promise<readonly TemplateSection[] | null> {
  const paths = [...(await snapshot.tree(signal)).keys()];
  for (const place of places) {
    const path = paths.find((candidate) => candidate.toLowerCase() === place);
    const bytes = path === undefined ? null : await snapshot.readFile(path, maxBytes, signal);
    const sections = bytes === null ? [] : parseTemplate(bytes.toString('utf8'));
    if (sections.length > 0) return sections;
  }
  return null;
}

/** Headings and boxes; the rest of a template is advice to whoever fills it in. What stands in comments and code is no heading. */
export function parseTemplate(source: string): readonly TemplateSection[] {
  const text = dropComments(source.replace(/\r\n?/g, '\n'));
  const sections: { heading: string | null; level: number; boxes: string[] }[] = [];
  let current: (typeof sections)[number] | undefined;
  let boxes = 0;
  let fence: string | null = null;
  for (const line of text.split('\n')) {
    const mark = /^ {0,3}(```|~~~)/.exec(line)?.[1];
    if (mark !== undefined) fence = fence === null ? mark : fence === mark ? null : fence;
    if (fence !== null || mark !== undefined) continue;
    const heading = headingOf(line);
    const box = /^\s{0,12}[-*+] \[[ xX]\] (\S.*)$/.exec(line)?.[1];
    if (heading !== null && sections.length < maxSections) sections.push((current = { ...heading, boxes: [] }));
    else if (box !== undefined && boxes++ < maxBoxes) {
      if (current === undefined) sections.push((current = { heading: null, level: 0, boxes: [] }));
      current.boxes.push(box.slice(0, 300).trim());
    }
  }
  return sections;
}

function headingOf(line: string): { heading: string; level: number } | null {
  const [, signs = '', words = ''] = /^ {0,3}(#{1,6}) (.*)$/.exec(line) ?? [];
  const heading = words.replace(/ #+$/, '').trim().slice(0, 120);
  return heading === '' ? null : { heading, level: signs.length };
}

/** An open comment hides the rest, as on GitHub. */
function dropComments(text: string): string {
  let kept = '';
  for (let from = 0; ;) {
    const start = text.indexOf('<!--', from);
    if (start === -1) return kept + text.slice(from);
    kept += text.slice(from, start);
    const end = text.indexOf('-->', start + 4);
    if (end === -1) return kept;
    from = end + 3;
  }
}
