/** The repository's template for pull requests, filled in: its headings stay, our parts go below the ones that ask for them. */
import { neutralise } from '../fix/neutral.ts';
import type { TemplateSection } from '../fix/pull-template.ts';
import type { Proof } from '../job.ts';

export interface TemplateParts {
  /** `Closes #7`, or why not. */
  readonly about: readonly string[];
  /** What the agent says, made inert. */
  readonly summary: readonly string[];
  /** What the host saw. */
  readonly seen: readonly string[];
  readonly proof: Proof | null;
}

type Part = 'about' | 'summary' | 'seen';

/** The first section whose heading has one of these words gets the part. In this order: `How was this change tested` is about tests. */
const asks: readonly (readonly [Part, RegExp])[] = [
  ['seen', /\b(?:test|tests|tested|testing|verif\w*|validat\w*|proof|qa)\b/i],
  ['about', /\b(?:issues?|tickets?|fix|fixes|closes|resolves|related|references?)\b/i],
  ['summary', /\b(?:description|describe|summary|what|changes?|overview|purpose|proposed|solution|why|motivation|context|about|details)\b/i],
];

/** What has no place in the template comes before it (the issue) or after it. */
export function fillTemplate(sections: readonly TemplateSection[], parts: TemplateParts): readonly string[] {
  const bySection = assign(sections);
  const placed = new Set(bySection.values());
  const lines = placed.has('about') ? [] : [...parts.about];
  for (const [index, section] of sections.entries()) {
    const part = bySection.get(section);
    const next = sections[index + 1];
    if (section.heading !== null) lines.push(`${'#'.repeat(section.level)} ${neutralise(section.heading, 120)}`, '');
    const content = part === undefined ? [] : contentOf(part, parts);
    const hasParts = next !== undefined && section.heading !== null && next.level > section.level;
    if (content.length === 0 && section.boxes.length === 0 && section.heading !== null && !hasParts) lines.push('_Not filled in._', '');
    lines.push(...content, ...boxLines(section, parts.proof));
  }
  if (!placed.has('summary') && parts.summary.length > 0) lines.push('## What the agent says', '', ...parts.summary);
  if (!placed.has('seen')) lines.push('## What the host saw', '', ...parts.seen);
  return lines;
}

function assign(sections: readonly TemplateSection[]): ReadonlyMap<TemplateSection, Part> {
  const found = new Map<TemplateSection, Part>();
  for (const section of sections) {
    const part = asks.find(([, words]) => words.test(section.heading ?? ''))?.[0];
    if (part !== undefined && ![...found.values()].includes(part)) found.set(section, part);
  }
  return found;
}

/** Below a heading that is not ours, it has to be said whose words these are. */
function contentOf(part: Part, { about, summary, seen }: TemplateParts): readonly string[] {
  if (part === 'about') return about;
  if (part === 'seen') return ['What the host saw:', '', ...seen];
  return summary.length === 0 ? [] : ['In the words of the agent:', '', ...summary];
}

function boxLines({ boxes }: TemplateSection, proof: Proof | null): readonly string[] {
  return boxes.length === 0 ? [] : [...boxes.map((text) => `- [${isVouched(text, proof) ? 'x' : ' '}] ${neutralise(text, 300)}`), ''];
}

const notOurs = /\b(?:not|no|without|manual\w*|e2e|end-to-end|browsers?|devices?|n\/a)\b|n['’]t\b/i;

/** A box stays empty but for what the host itself has seen: that the tests ran and passed, that the patch brings tests that fail without it. */
function isVouched(text: string, proof: Proof | null): boolean {
  if (proof === null || !/\btests?\b/i.test(text) || notOurs.test(text)) return false;
  const passed = proof.patched?.exitCode === 0 && (proof.verdict === 'proven' || proof.verdict === 'not_contradicted');
  if (/\b(?:add|adds|added|new|wrote|written|covers?|covered|includes?|included)\b/i.test(text) && !/\b(?:pass|passes|passed|passing)\b/i.test(text)) {
    return passed && proof.verdict === 'proven' && proof.tests !== null;
  }
  return passed && /\b(?:pass|passes|passed|passing|run|ran|green|succeed\w*)\b/i.test(text);
}
