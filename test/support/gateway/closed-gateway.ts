/** A gateway for sandboxes without a way out: nobody ever asks it for anything. */
import type { Gateway } from '../../../src/gateway/gateway.ts';

export const createClosedGateway = (): Gateway => ({
  authority: () => Promise.resolve(''),
  accept: () => {},
  enter: () => {},
  ledger: [],
  unlisted: [],
  close: () => Promise.resolve(),
});
