/** Whether an agent goes round in circles: the same call again and again. */
import type { ToolCall } from '../model/model.ts';

const pointedOut = 3;
/** With the same result each time; waiting for something is allowed, but not for ever. */
const stuckOnResult = 12;
/** Whatever the results. */
const stuckOnCall = 30;
/** How long something took is no difference. */
const durations = /(?<![\d.])\d{1,9}(?:\.\d{1,9})? ?m?s\b/g;

interface Streak {
  key: string;
  count: number;
}

export interface Repeats {
  /** Counts one call; true when it is time to say so. */
  count(call: ToolCall, result: string): boolean;
  isStuck(): boolean;
}

export function countRepeats(): Repeats {
  const calls: Streak = { key: '', count: 0 };
  const results: Streak = { key: '', count: 0 };
  return {
    count({ name, input }, result) {
      const key = JSON.stringify([name, input]);
      extend(results, `${key}\n${result.replaceAll(durations, '')}`);
      extend(calls, key);
      return calls.count >= pointedOut;
    },
    isStuck: () => calls.count >= stuckOnCall || results.count >= stuckOnResult,
  };
}

function extend(streak: Streak, key: string): void {
  streak.count = streak.key === key ? streak.count + 1 : 1;
  streak.key = key;
}
