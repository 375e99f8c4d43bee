/**
 * Milliseconds of processor time that this thread spends in some work: what a guard against work that grows too fast
 * measures. A clock on the wall would also count what other processes of a busy machine do meanwhile.
 */
export async function processorMs(work: () => unknown): Promise<number> {
  const before = process.threadCpuUsage();
  await work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}
