/** Faults by script: what a test wants to go wrong, on which request, and how often. */

export interface Fault {
  readonly method?: string;
  /** Against the path without its query, git paths included. */
  readonly path: RegExp;
  /** How many matching requests are hit; default 1. */
  readonly times?: number;
  /** True: the request is carried out first, only its answer is lost or replaced. */
  readonly afterSuccess?: boolean;
  /** Given instead of the answer. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Never answers. */
  readonly hang?: boolean;
  /** Cuts the connection. */
  readonly reset?: boolean;
}

export interface Faults {
  add(fault: Fault): void;
  /** The first fault for this request, counted as used. */
  take(method: string, path: string): Fault | undefined;
  /** Scripted faults that no request has met yet: a test whose fault was never hit proves nothing. */
  readonly unused: number;
  clear(): void;
}

export function createFaults(): Faults {
  let waiting: { fault: Fault; left: number }[] = [];
  return {
    add: (fault) => void waiting.push({ fault, left: fault.times ?? 1 }),
    take(method, path) {
      const found = waiting.find(({ fault }) => (fault.method ?? method) === method && fault.path.test(path));
      if (!found) return undefined;
      found.left -= 1;
      waiting = waiting.filter(({ left }) => left > 0);
      return found.fault;
    },
    get unused() {
      return waiting.reduce((sum, { left }) => sum + left, 0);
    },
    clear() {
      waiting = [];
    },
  };
}
