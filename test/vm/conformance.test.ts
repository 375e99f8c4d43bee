/** The sandbox contract on real guests of the `qemu` provider, restored from the template that `mayfly setup` built. */
import { afterAll } from 'vitest';
import { openGuestHost } from '../support/guest.ts';
import { sandboxContract } from '../support/sandbox-contract.ts';

const host = await openGuestHost();
afterAll(() => host.close());

sandboxContract('a qemu guest', () => host.boot());
