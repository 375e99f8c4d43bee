/** The sandbox contract on real guests of each provider, made from the template that `mayfly setup` built. */
import { afterAll, describe } from 'vitest';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { isSkipped, lacksForGvisor, openGuestHost } from '../support/guest.ts';
import { sandboxContract } from '../support/sandbox-contract.ts';
import { testDiskSizes } from '../support/sandbox-contract/disk.ts';

const qemu = await openGuestHost();
const oci = await openGuestHost(createOciProvider);
afterAll(async () => {
  await qemu.close();
  await oci.close();
});

sandboxContract('a qemu guest', () => qemu.boot());
const skipsGvisor = isSkipped('the sandbox contract under gVisor', await lacksForGvisor());
sandboxContract('a gVisor guest', () => oci.boot(), skipsGvisor);

describe('the disk of a qemu guest', () => {
  testDiskSizes(() => qemu, { bootsCold: true });
});
describe.skipIf(skipsGvisor)('the disk of a gVisor guest', () => {
  testDiskSizes(() => oci, { bootsCold: false });
});
