/** The rate of this host's time stamp counter: an emulated guest counts with it and has nothing to measure it by. */
import { readFile } from 'node:fs/promises';
import { execa } from 'execa';

/** In kHz. The kernel's own measurement is best; a fixed processor speed (a VM, or the model's name) comes next. */
export function tscKhzFrom(kernelLog: string, cpuinfo: string): number {
  const measured = /tsc: Refined TSC clocksource calibration: ([\d.]+) MHz/.exec(kernelLog) ?? /tsc: Detected ([\d.]+) MHz/.exec(kernelLog);
  const virtual = /^flags\s*:.*\bhypervisor\b/m.test(cpuinfo) ? /^cpu MHz\s*:\s*([\d.]+)/m.exec(cpuinfo) : null;
  const named = /^model name\s*:.*@\s*([\d.]+)GHz/m.exec(cpuinfo);
  const current = /^cpu MHz\s*:\s*([\d.]+)/m.exec(cpuinfo);
  const mhz = Number(measured?.[1] ?? virtual?.[1] ?? 0) || Number(named?.[1] ?? 0) * 1000 || Number(current?.[1] ?? 0);
  return Math.round(mhz * 1000) || 2_000_000;
}

export async function readTscKhz(): Promise<number> {
  const kernelLog = await execa('dmesg', [], { reject: false, stdin: 'ignore' });
  return tscKhzFrom(kernelLog.stdout, await readFile('/proc/cpuinfo', 'utf8'));
}
