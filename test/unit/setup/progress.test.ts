import { describe, expect, test } from 'vitest';
import { createProgress } from '../../../src/setup/progress.ts';

function record(terminal: { isTTY?: boolean; columns?: number } = {}) {
  const clock = { ms: 0 };
  const written: string[] = [];
  const progress = createProgress({ ...terminal, write: (text) => written.push(text) }, () => clock.ms);
  return { progress, clock, text: () => written.join('') };
}

describe('createProgress', () => {
  test('replaces one live line on a terminal, cut to its width', () => {
    const { progress, text } = record({ isTTY: true, columns: 12 });
    progress.update('Get:1 http://deb.example');
    progress.say('done');

    expect(text()).toBe('\r\u001B[2K  Get:1 htt\r\u001B[2Kdone\n');
  });

  test('prints plain lines elsewhere, and not more than one every few seconds', () => {
    const { progress, clock, text } = record();
    progress.say('start');
    progress.update('early');
    clock.ms = 6_000;
    progress.update('later');
    progress.update('too soon');

    expect(text()).toBe('start\n  later\n');
  });

  test('lets no control character of outside text reach the terminal', () => {
    const { progress, text } = record({ isTTY: true });
    progress.update('a\u001B[31mb\rc');

    expect(text()).toBe('\r\u001B[2K  a [31mb c');
  });
});
