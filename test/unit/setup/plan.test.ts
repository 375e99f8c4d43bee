import { describe, expect, test } from 'vitest';
import type { HostFacts } from '../../../src/setup/facts.ts';
import { asShellLine } from '../../../src/setup/install.ts';
import { planSetup } from '../../../src/setup/plan.ts';
import { isAtLeast } from '../../../src/setup/requirements.ts';

const complete = {
  'qemu-system-x86_64': '10.0.2',
  'qemu-img': '10.0.2',
  runsc: '20240729',
  'redis-server': '7.0.15',
  git: '2.39.5',
  mmdebstrap: '',
  cpio: '',
  mke2fs: '1.47.0',
  setpriv: '',
  flock: '',
  openssl: '',
  curl: '',
};

function aHost(facts: Partial<HostFacts> = {}, programs: Record<string, string | null> = {}): HostFacts {
  return {
    system: 'debian',
    systemName: 'Debian GNU/Linux 12 (bookworm)',
    codename: 'bookworm',
    architecture: 'x64',
    privilege: 'root',
    hasApt: true,
    hasSystemd: false,
    debianSource: { uri: 'http://mirror.example/debian', signedBy: '/usr/share/keyrings/debian-archive-keyring.gpg' },
    hasBackports: false,
    ...facts,
    programs: { ...complete, ...programs },
  };
}

const nothing = Object.fromEntries(Object.keys(complete).map((program) => [program, null]));

function stepsOf(facts: HostFacts) {
  const plan = planSetup(facts);
  if (plan.kind !== 'install') throw new Error(`expected a plan to install, got ${plan.kind}`);
  return plan.steps;
}

const commands = (facts: HostFacts) => stepsOf(facts).map((step) => step.argv.join(' '));

describe('planSetup', () => {
  test('does nothing on a host that has everything', () => {
    expect(planSetup(aHost())).toEqual({ kind: 'ready' });
    expect(planSetup(aHost({}, { skopeo: '1.9.3' }), { wantsImages: true })).toEqual({ kind: 'ready' });
  });

  test('brings skopeo only where repositories may name images', () => {
    expect(planSetup(aHost({}, { skopeo: null }))).toEqual({ kind: 'ready' });
    expect(planSetup(aHost({}, { skopeo: null }), { wantsImages: true })).toMatchObject({ kind: 'install', missing: [{ program: 'skopeo' }] });
  });

  test('adds backports from the mirror of the host on Debian 12, and takes only QEMU and gVisor from there', () => {
    const steps = stepsOf(aHost({}, nothing));
    const installs = steps.map((step) => step.argv.join(' ')).filter((line) => line.includes(' install '));

    expect(steps[0]?.argv).toEqual(['tee', '/etc/apt/sources.list.d/mayfly-backports.sources']);
    expect(steps[0]?.stdin).toContain('URIs: http://mirror.example/debian\nSuites: bookworm-backports\n');
    expect(installs).toHaveLength(2);
    expect(installs[0]).toMatch(/--no-install-recommends redis-server git mmdebstrap cpio e2fsprogs util-linux openssl curl$/);
    expect(installs[1]).toMatch(/-t bookworm-backports qemu-system-x86 qemu-utils runsc$/);
  });

  test('writes no sources file when backports are already there', () => {
    expect(commands(aHost({ hasBackports: true }, nothing)).join('\n')).not.toContain('sources.list.d');
  });

  test('falls back to the archive of Debian when the host names no mirror', () => {
    expect(stepsOf(aHost({ debianSource: null }, nothing))[0]?.stdin).toContain('URIs: http://deb.debian.org/debian\n');
  });

  test('replaces a QEMU that is too old', () => {
    const plan = planSetup(aHost({}, { 'qemu-system-x86_64': '7.2.22' }));

    expect(plan).toMatchObject({ kind: 'install', missing: [{ program: 'qemu-system-x86_64', what: '7.2.22 found, 8.2 or newer is needed' }] });
  });

  test.each([
    ['debian', 'trixie'],
    ['ubuntu', 'noble'],
  ])('needs no backports on %s %s', (system, codename) => {
    const lines = commands(aHost({ system, codename }, nothing)).join('\n');

    expect(lines).not.toContain('backports');
    expect(lines).toMatch(/qemu-system-x86 qemu-utils (?:runsc )?redis-server/);
  });

  test('asks for gVisor only where the archive has it', () => {
    expect(planSetup(aHost({}, { runsc: '20221219' }))).toMatchObject({ kind: 'install', missing: [{ program: 'runsc' }] });
    expect(planSetup(aHost({ system: 'ubuntu', codename: 'noble' }, { runsc: null }))).toEqual({ kind: 'ready' });
  });

  test('leaves a Redis alone that was there before', () => {
    const lines = commands(aHost({ hasSystemd: true }, { cpio: null })).join('\n');

    expect(lines).not.toContain('redis');
  });

  test('keeps the Redis service off: masked during the install, disabled after it, even when the install fails', () => {
    const steps = stepsOf(aHost({ hasSystemd: true }, { 'redis-server': null }));
    const systemctl = steps.filter((step) => step.argv[0] === 'systemctl');

    expect(steps.map((step) => step.argv.slice(0, 2).join(' '))).toEqual([
      'systemctl mask',
      'env DEBIAN_FRONTEND=noninteractive',
      'env DEBIAN_FRONTEND=noninteractive',
      'systemctl unmask',
      'systemctl disable',
    ]);
    expect(systemctl.every((step) => step.isTidying)).toBe(true);
  });

  test('only says what is needed on a system that it does not know', () => {
    const plan = planSetup(aHost({ system: 'fedora', systemName: 'Fedora Linux 43', codename: '', hasApt: false }, { redis: null, cpio: null }));

    expect(plan).toMatchObject({ kind: 'by_hand', reason: expect.stringContaining('Fedora Linux 43') as unknown, missing: [{ program: 'cpio' }] });
  });

  test('refuses another processor even when every program is there', () => {
    expect(planSetup(aHost({ architecture: 'arm64' }))).toMatchObject({ kind: 'by_hand', missing: [], reason: expect.stringContaining('arm64') as unknown });
  });
});

describe('asShellLine', () => {
  const step = { title: 'x', argv: ['tee', '/etc/a b'], stdin: "Suites: x\nit's\n" };

  test('gives a line that a shell reads back as the same words', () => {
    expect(asShellLine(step, 'root')).toBe("printf '%s' 'Suites: x\nit'\\''s\n' | tee '/etc/a b'");
  });

  test('puts sudo in front for a plain user', () => {
    expect(asShellLine({ title: 'x', argv: ['apt-get', 'update'] }, null)).toBe('sudo apt-get update');
    expect(asShellLine({ title: 'x', argv: ['apt-get', 'update'] }, 'sudo')).toBe('sudo -n apt-get update');
  });
});

describe('isAtLeast', () => {
  test.each([
    ['8.2', '8.2', true],
    ['8.2.0', '8.2', true],
    ['10.0.2', '8.2', true],
    ['8.10', '8.9', true],
    ['7.2.22', '8.2', false],
    ['8', '8.2', false],
  ])('%s against %s is %s', (version, least, expected) => {
    expect(isAtLeast(version, least)).toBe(expected);
  });
});
