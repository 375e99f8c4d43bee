import { expect, test } from 'vitest';
import { describeContainer } from '../../../src/sandbox/bundle.ts';
import { parseRunscVersion, runscArguments } from '../../../src/sandbox/runsc.ts';

const plan = { name: 'mayfly-x', bundle: '/vm/bundle', state: '/vm/state', layer: '/vm/layer' };
const runsc = (...flags: string[]) => ({ version: '1', flags: new Set(flags) });

test.each([
  ['runsc version 0.0~20240729.0\nspec: 1.0.2-dev', { name: '0.0~20240729.0', date: 20_240_729 }],
  ['runsc version release-20260817.0\nspec: 1.2.0', { name: 'release-20260817.0', date: 20_260_817 }],
  ['runsc version VERSION_MISSING', { name: 'VERSION_MISSING', date: 0 }],
  ['command not found', null],
])('%j is a version', (printed, version) => {
  expect(parseRunscVersion(printed)).toEqual(version);
});

test('a flag is given only where this runsc has it', () => {
  const newer = runscArguments(runsc('directfs', 'host-uds'), plan);

  expect(newer).toContain('--directfs=false');
  expect(newer).toContain('--host-uds=none');
  expect(runscArguments(runsc(), plan).filter((word) => word.includes('directfs'))).toEqual([]);
});

test('there is no network, and the name by which its processes are found comes last', () => {
  const argv = runscArguments(runsc(), plan);

  expect(argv).toContain('--network=none');
  expect(argv.slice(-3)).toEqual(['run', '--bundle=/vm/bundle', 'mayfly-x']);
});

test('the container has nothing of the host but the root filesystem', () => {
  const container = describeContainer({ rootfs: '/image/rootfs', hostname: 'mayfly-x', cgroupsPath: '/mayfly/x' }) as {
    mounts: { type: string }[];
    process: { env: string[]; capabilities: { bounding: string[] } };
  };

  expect(new Set(container.mounts.map(({ type }) => type))).toEqual(new Set(['proc', 'sysfs', 'tmpfs']));
  expect(container.process.env).toEqual([]);
  expect(container.process.capabilities.bounding).not.toContain('CAP_SYS_ADMIN');
  expect(container.process.capabilities.bounding).not.toContain('CAP_NET_ADMIN');
});
