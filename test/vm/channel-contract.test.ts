/**
 * The sandbox contract over a real sshd on this host: the fast check of the channel and of the guest's supervisor. It stands
 * with the real guests, because its fork storm takes every process that the agent's user may have, also from other tests
 * whose VMs are folders of this host.
 */
import { afterAll, describe } from 'vitest';
import { createHostSandbox, createHostSshd, whyNoSshd } from '../support/host-sshd.ts';
import type { HostSshd } from '../support/host-sshd.ts';
import { sandboxContract } from '../support/sandbox-contract.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: the channel over a host sshd was not tested: ${reason}\n`);

describe.skipIf(reason)('the channel', () => {
  let host: HostSshd | undefined;
  afterAll(() => host?.remove());

  sandboxContract('a host sshd', () => createHostSandbox((host ??= createHostSshd())));
});
