/** The sandbox contract on real guests of the `qemu` provider, restored from the template that `mayfly setup` built. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import { sandboxContract } from '../support/sandbox-contract.ts';

const config = loadConfig('tool');
const stateDir = mkdtempSync(join(tmpdir(), 'mayfly-conformance-'));
const provider = createQemuProvider({
  cacheDir: config.MAYFLY_CACHE_DIR,
  stateDir,
  memoryMib: config.MAYFLY_GUEST_MEMORY_MIB,
  vcpus: config.MAYFLY_GUEST_VCPUS,
  diskGib: config.MAYFLY_GUEST_DISK_GIB,
  uidRange: { first: config.MAYFLY_UID_FIRST, count: 1000 },
  allowUnlimited: config.MAYFLY_ALLOW_UNLIMITED_VMS,
  log: pino({ level: 'silent' }),
});

afterAll(() => rmSync(stateDir, { recursive: true, force: true }));

sandboxContract('a qemu guest', () => provider.boot({ id: `contract-${randomUUID().slice(0, 8)}`, signal: AbortSignal.timeout(120_000) }));
