/**
 * What somebody would take instead of Mayfly's sandbox, measured in the same run. Each is given the easiest task: no
 * SSH, no limits, no own user, no clean-up of its own; it only has to run one command.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { qemuProgram } from '../../src/sandbox/machine.ts';
import type { Template } from '../../src/sandbox/vm.ts';
import { readVersion } from './host.ts';

export interface Alternative {
  readonly name: string;
  readonly span: string;
  /** A whole boot takes seconds and is taken every second round. */
  readonly slow: boolean;
  /** Resolves to milliseconds. */
  measure(signal: AbortSignal): Promise<number>;
}

export interface AlternativeSet {
  readonly found: readonly Alternative[];
  /** Names of those that this host does not have. */
  readonly missing: readonly string[];
}

/** `directory` is ours, for what they need. */
export async function findAlternatives(template: Template, directory: string): Promise<AlternativeSet> {
  const containers = [
    {
      program: 'runsc',
      argv: (root: string) => ['runsc', '--network=none', '--ignore-cgroups', `--root=${directory}/runsc`, 'do', `--root=${root}`, '/bin/true'],
    },
    { program: 'bwrap', argv: (root: string) => ['bwrap', '--ro-bind', root, '/', '--proc', '/proc', '--dev', '/dev', '--unshare-all', '/bin/true'] },
    { program: 'podman', argv: (root: string) => ['podman', '--runtime=crun', 'run', '--rm', '--network=none', '--rootfs', `${root}:O`, '/bin/true'] },
  ];
  const checked = await Promise.all(containers.map(async (container) => ({ ...container, version: await readVersion(container.program) })));
  const usable = checked.filter(({ version }) => version !== null);
  const found = usable.map(({ argv }): Alternative => {
    const command = argv(template.image.rootfs);
    return {
      name: command.filter((word) => /^(?:runsc|bwrap|podman|do|run)$/.test(word)).join(' '),
      span: `start of ${command[0]} on the template’s files -> it has run /bin/true and ended`,
      slow: false,
      measure: (signal) => timeCommand(command, signal),
    };
  });
  return {
    found: [await plainQemu(template, directory), ...found],
    missing: checked.filter((container) => !usable.includes(container)).map(({ program }) => program),
  };
}

async function timeCommand([program = '', ...argv]: readonly string[], signal: AbortSignal): Promise<number> {
  const startedAt = performance.now();
  await execa(program, argv, { stdin: 'ignore', cancelSignal: signal, timeout: 60_000, forceKillAfterDelay: 1000 });
  return performance.now() - startedAt;
}

/** The same kernel on QEMU's default kind of PC; its whole system is a shell in an initramfs. */
async function plainQemu({ image, shape }: Template, directory: string): Promise<Alternative> {
  const initramfs = await packShell(directory);
  const argv = [
    ['-machine', 'q35', '-accel', shape.accel, '-cpu', shape.accel === 'kvm' ? 'host' : 'max'],
    ['-smp', `${shape.vcpus}`, '-m', `${shape.memoryMib}M`, '-nic', 'none', '-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot'],
    ['-kernel', image.kernel, '-initrd', initramfs, '-append', 'console=ttyS0 quiet panic=-1'],
  ].flat();
  return {
    name: 'plain QEMU boot',
    span: 'start of QEMU (q35, the same kernel, a shell in an initramfs, no disk, no SSH) -> "first command done" on its console',
    slow: true,
    async measure(signal) {
      const startedAt = performance.now();
      const machine = execa(qemuProgram, argv, { stdin: 'ignore', cancelSignal: signal, timeout: 120_000, reject: false, buffer: false });
      try {
        for await (const line of machine) {
          if (!line.includes('first command done')) continue;
          const tookMs = performance.now() - startedAt;
          machine.kill('SIGKILL'); // leaving the loop waits for its end
          return tookMs;
        }
        throw new Error('the console closed before the first command was done');
      } finally {
        machine.kill('SIGKILL');
        await machine;
      }
    },
  };
}

/** An initramfs of the host's own shell and what it is linked with. */
async function packShell(directory: string): Promise<string> {
  const tree = join(directory, 'initramfs');
  const linked = await execa('ldd', ['/bin/sh', '/bin/true']);
  const libraries = [...linked.stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path = '']) => path);
  for (const path of new Set(['/bin/sh', '/bin/true', ...libraries])) {
    await mkdir(join(tree, dirname(path)), { recursive: true });
    await execa('cp', ['-L', path, join(tree, path)]);
  }
  await writeFile(join(tree, 'init'), '#!/bin/sh\n/bin/true && echo first command done\nwhile :; do read -r line; done\n', { mode: 0o755 });
  const names = await execa('find', ['.'], { cwd: tree });
  const target = join(directory, 'initramfs.cpio');
  await execa('cpio', ['--quiet', '--create', '--format=newc', `--file=${target}`], { cwd: tree, input: names.stdout });
  return target;
}
