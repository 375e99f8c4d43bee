/** Tests inside of a real guest of each provider: one guest for all of a file's, whose way out each test chooses. */
import { afterAll, beforeAll, describe } from 'vitest';
import { createOciProvider } from '../../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../../src/sandbox/qemu.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, openGuestHost } from '../guest.ts';
import type { GuestHost } from '../guest.ts';
import { openDoorway } from './inside.ts';
import type { Doorway } from './inside.ts';

/** There when a test runs. */
export interface Entered {
  readonly sandbox: Sandbox;
  readonly doorway: Doorway;
}

const guests = [
  { name: 'a gVisor guest', create: createOciProvider, lacking: await lacksForGvisor() },
  { name: 'a qemu guest', create: createQemuProvider, lacking: await lacksForGuests() },
];

/** For what is the same whoever boots the VM: in the first of them that there is here. Under emulation it would take ten times as long. */
export function describeInOneGuest(what: string, title: string, tests: (guest: Entered) => void): void {
  const usable = guests.find(({ lacking }) => lacking === null) ?? guests[0];
  describeIn(usable ? [usable] : [], { what, title, tests });
}

interface Tests {
  /** Said where it is skipped. */
  readonly what: string;
  /** In the names of the tests. */
  readonly title: string;
  readonly tests: (guest: Entered) => void;
}

/** `what` is said where it is skipped, `title` in the names of the tests. */
export function describeInGuests(what: string, title: string, tests: (guest: Entered) => void): void {
  describeIn(guests, { what, title, tests });
}

function describeIn(chosen: typeof guests, { what, title, tests }: Tests): void {
  for (const { name, create, lacking } of chosen) {
    describe.skipIf(isSkipped(`${what} ${name}`, lacking))(`${name} ${title}`, () => {
      let host: GuestHost;
      const guest: { -readonly [Part in keyof Entered]?: Entered[Part] } = {};
      beforeAll(async () => {
        host = await openGuestHost(create);
        guest.sandbox = await host.boot();
        guest.doorway = await openDoorway(guest.sandbox);
      });
      afterAll(async () => {
        await guest.sandbox?.dispose();
        await host?.close();
      });
      tests(guest as Entered);
    });
  }
}
