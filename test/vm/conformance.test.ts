/** The sandbox contract on real guests of each provider, made from the template that `mayfly setup` built. */
import { afterAll } from 'vitest';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { isSkipped, lacksForGvisor, openGuestHost } from '../support/guest.ts';
import { sandboxContract } from '../support/sandbox-contract.ts';

const qemu = await openGuestHost();
const oci = await openGuestHost(createOciProvider);
afterAll(async () => {
  await qemu.close();
  await oci.close();
});

sandboxContract('a qemu guest', () => qemu.boot());
sandboxContract('a gVisor guest', () => oci.boot(), isSkipped('the sandbox contract under gVisor', await lacksForGvisor()));
