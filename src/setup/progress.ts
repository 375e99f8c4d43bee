/** Shows what goes on: one live line on a terminal, plain lines anywhere else. */

export interface Progress {
  /** A line that stays. */
  say(line: string): void;
  /** What happens right now: replaces the live line, or is printed at most every few seconds. */
  update(line: string): void;
  /** Takes the live line away. */
  clear(): void;
}

export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const plainIntervalMs = 5_000;

// Control characters of a package's own output must not move the cursor.
const oneLine = (text: string) => text.replaceAll(/\p{Cc}+/gu, ' ').trim();

export function createProgress(terminal: Terminal, now: () => number = Date.now): Progress {
  const isLive = terminal.isTTY === true;
  let isShown = false;
  let printedAt = 0;
  const clear = () => {
    if (isShown) terminal.write('\r\u001B[2K');
    isShown = false;
  };
  const say = (line: string) => {
    clear();
    terminal.write(`${line}\n`);
    printedAt = now();
  };
  const update = (line: string) => {
    const text = `  ${oneLine(line)}`;
    if (!isLive && now() - printedAt >= plainIntervalMs) return say(text.slice(0, 200));
    if (!isLive) return;
    terminal.write(`\r\u001B[2K${text.slice(0, (terminal.columns ?? 80) - 1)}`);
    isShown = true;
  };
  return { say, update, clear };
}
