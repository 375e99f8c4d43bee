import { expect, test } from 'vitest';
import { tscKhzFrom } from '../../../src/sandbox/host-clock.ts';

const virtual = 'model name\t: AMD EPYC\ncpu MHz\t\t: 2596.124\nflags\t\t: fpu tsc hypervisor lm\n';
const bare = 'model name\t: Intel(R) Xeon(R) CPU E5 @ 2.40GHz\ncpu MHz\t\t: 1197.000\nflags\t\t: fpu tsc lm\n';

test.each([
  [
    'the refined measurement before all',
    '[0] tsc: Detected 2400.000 MHz processor\n[1] tsc: Refined TSC clocksource calibration: 2394.454 MHz\n',
    bare,
    2_394_454,
  ],
  ['the first measurement', '[    0.000058] tsc: Detected 2596.124 MHz processor\n', bare, 2_596_124],
  ['in a VM, the speed of its processor, which does not change', '', virtual, 2_596_124],
  ['on bare metal, the speed in the name, for the current one changes', '', bare, 2_400_000],
  ['the current speed where there is nothing better', '', 'cpu MHz\t\t: 3000.5\n', 3_000_500],
  ['something where there is nothing', '', '', 2_000_000],
])('takes %s', (_, kernelLog, cpuinfo, khz) => {
  expect(tscKhzFrom(kernelLog, cpuinfo)).toBe(khz);
});
