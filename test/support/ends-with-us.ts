/**
 * Arguments of `spawn` for a process that ends with the one that starts it, however that comes to its end. What a test
 * that failed leaves behind would keep its output open, and Vitest, which reads it, would wait for ever.
 */
export function endsWithUs(program: string, parameters: readonly string[]): [string, string[]] {
  // The kernel sees to it (PR_SET_PDEATHSIG, https://man7.org/linux/man-pages/man2/prctl.2.html); setpriv becomes the program.
  return ['setpriv', ['--pdeathsig', 'KILL', program, ...parameters]];
}
