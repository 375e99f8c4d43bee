/** Whether there is enough to work on. */
import { visibleMarkdown, visibleText } from '../agent/visible.ts';

/** Characters that a person sees, blanks in a row counted as one: what is hidden from people says nothing to an agent. */
export function countVisible(title: string, ...markdown: readonly string[]): number {
  const texts = [visibleText(title).text, ...markdown.map((text) => visibleMarkdown(text).text)];
  return texts.reduce((sum, text) => sum + Array.from(text.replace(/\s+/g, ' ').trim()).length, 0);
}
