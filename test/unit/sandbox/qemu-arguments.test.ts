import { expect, test } from 'vitest';
import { qemuArguments } from '../../../src/sandbox/qemu-arguments.ts';
import type { MachinePlan } from '../../../src/sandbox/qemu-arguments.ts';

function plan(changes: Partial<MachinePlan> = {}): MachinePlan {
  const image = { key: 'k', directory: '/i', kernel: '/i/kernel', initramfs: '/i/initramfs', disk: '/i/disk', overlay: '/i/overlay', rootfs: '/i/rootfs' };
  const shape = { accel: 'tcg', memoryMib: 512, vcpus: 2, tscKhz: 2_000_000, isPvm: false } as const;
  return { name: 'mayfly-x', shape, image, overlay: '/vm/a,b disk', templateDisk: '/t/disk', memory: { file: '/t/memory', use: 'restore' }, ...changes };
}

function after(argv: readonly string[], flag: string): string[] {
  return argv.flatMap((word, index) => (argv[index - 1] === flag ? [word] : []));
}

test('a machine has no network card, nothing by default, and full seccomp', () => {
  const argv = qemuArguments(plan());
  expect(after(argv, '-nic')).toEqual(['none']);
  expect(argv).toEqual(expect.arrayContaining(['-nodefaults', '-no-user-config', '-no-reboot']));
  expect(after(argv, '-sandbox')).toEqual(['on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']);
  expect(argv.join(' ')).not.toMatch(/netdev|virtio-net|vsock|unix:|tcp:/);
});

test('a restored machine opens the template for reading only', () => {
  const argv = qemuArguments(plan());
  const memory = JSON.parse(after(argv, '-object')[0] ?? '');
  const disk = JSON.parse(after(argv, '-blockdev')[0] ?? '');
  expect(memory).toMatchObject({ 'mem-path': '/t/memory', share: false, readonly: true, rom: 'off' });
  expect(disk).toMatchObject({
    file: { filename: '/vm/a,b disk' },
    backing: { 'read-only': true, file: { filename: '/t/disk' }, backing: { 'read-only': true, backing: null } },
  });
  expect(after(argv, '-incoming')).toEqual(['defer']);
  expect(after(argv, '-kernel')).toEqual([]);
});

test('only the machine that is saved shares its memory, and warms up', () => {
  const saved = qemuArguments(plan({ memory: { file: '/vm/memory', use: 'save' }, templateDisk: null }));
  expect(JSON.parse(after(saved, '-object')[0] ?? '')).toMatchObject({ 'mem-path': '/vm/memory', share: true });
  expect(after(saved, '-append')[0]).toContain('mayfly.warm');
  expect(after(saved, '-incoming')).toEqual([]);

  const foreign = { ...plan().image, isForeign: true } as const;
  const ofRegistry = qemuArguments(plan({ image: foreign, memory: { file: '/vm/memory', use: 'save' }, templateDisk: null }));
  expect(after(ofRegistry, '-append')[0]).not.toContain('mayfly.warm');

  const cold = qemuArguments(plan({ memory: null, templateDisk: null }));
  expect(after(cold, '-append')[0]).not.toContain('mayfly.warm');
  expect(JSON.parse(after(cold, '-object')[0] ?? '')).toMatchObject({ 'qom-type': 'memory-backend-ram' });
});

test('under emulation the kernel is told the clock and keeps the old timers; under KVM it has neither', () => {
  const shape = { ...plan().shape, accel: 'kvm' } as const;
  const [emulated, hardware] = [qemuArguments(plan({ memory: null })), qemuArguments(plan({ shape, memory: null }))];
  expect(after(emulated, '-append')[0]).toContain('tsc_early_khz=2000000 tsc=reliable');
  expect(after(emulated, '-machine')[0]).toContain('pit=on,pic=on,rtc=on');
  expect(after(hardware, '-append')[0]).not.toContain('tsc');
  expect(after(hardware, '-machine')[0]).toContain('pit=off,pic=off,rtc=off');
  expect(after(hardware, '-cpu')).toEqual(['host']);
  expect(after(qemuArguments(plan({ shape: { ...shape, isPvm: true } })), '-cpu')).toEqual(['host,arch-capabilities=off']);
});
