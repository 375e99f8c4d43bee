/**
 * nock with the discipline of a contract: no real network, a request that nobody planned fails, and so does a plan that
 * nobody used. For talking to public addresses; what can run on loopback has a real server instead.
 */
import nock from 'nock';

export interface PlannedHttp extends Disposable {
  /** Plans requests to one origin, for example https://api.github.com. */
  to(origin: string): nock.Scope;
}

/** Use with `using`; leaving the scope checks that every plan was used, and gives the network back. */
export function planHttp(): PlannedHttp {
  nock.disableNetConnect();
  return {
    to: (origin) => nock(origin),
    [Symbol.dispose]() {
      const unused = nock.pendingMocks();
      nock.cleanAll();
      nock.enableNetConnect();
      nock.restore();
      nock.activate();
      if (unused.length > 0) throw new Error(`planned, but never asked for: ${unused.join(', ')}`);
    },
  };
}
