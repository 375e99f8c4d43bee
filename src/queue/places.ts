/**
 * In which order what waits would really start, as well as that can be said: the ring's own rule, played to its end.
 * How long runs take, and who comes next, nobody knows.
 */
import type { Entry, Hold, HoldLimit, Snapshot } from './ring.ts';
import type { AllLimits, RunLimits } from './open-run.ts';

export interface HeldBy {
  readonly limit: HoldLimit;
  /** When it frees, for limits of time. */
  readonly until?: Date;
}

export interface Place {
  readonly runId: string;
  readonly state: 'waiting' | 'working';
  /** From 1; 0 for one that works. */
  readonly place: number;
  /** How many wait. */
  readonly of: number;
  /** Null when it is about to start, or works. */
  readonly heldBy: HeldBy | null;
}

const hourMs = 60 * 60_000;
const dayMs = 24 * hourMs;

/** By job id. */
export function placesOf(snapshot: Snapshot, limits: AllLimits): Map<string, Place> {
  const starting = [...snapshot.granted].filter(([jobId]) => !snapshot.working.has(jobId));
  const of = starting.length + snapshot.waiting.size;
  const places = new Map<string, Place>();
  for (const jobId of snapshot.working) {
    const entry = snapshot.granted.get(jobId);
    if (entry) places.set(jobId, { runId: entry.runId, state: 'working', place: 0, of, heldBy: null });
  }
  const { order, held } = playOn(snapshot, limits);
  const slots = createSlotLook(snapshot, limits);
  const all: [string, Entry, HeldBy | null][] = [
    ...starting.map(([jobId, entry]): [string, Entry, null] => [jobId, entry, null]),
    ...order.map(([jobId, entry]): [string, Entry, HeldBy | null] => [jobId, entry, slots(entry)]),
    ...held
      .toSorted((one, other) => one.hold.freeAt - other.hold.freeAt)
      .map(({ jobId, entry, hold }): [string, Entry, HeldBy] => [jobId, entry, { limit: hold.limit, until: new Date(hold.freeAt) }]),
  ];
  for (const [index, [jobId, { runId }, heldBy]] of all.entries()) places.set(jobId, { runId, state: 'waiting', place: index + 1, of, heldBy });
  return places;
}

interface Held {
  readonly jobId: string;
  readonly entry: Entry;
  readonly hold: Hold;
}

/** Takes one after the other as the ring would if every run ended at once; what is held goes the same way after it. */
function playOn(snapshot: Snapshot, limits: AllLimits): { order: [string, Entry][]; held: Held[] } {
  const scores = new Map(snapshot.scores);
  const counts = new Map(snapshot.counts);
  const holds = new Map<string, Hold>();
  const isFree = ([jobId, entry]: [string, Entry]): boolean => {
    const hold = holdOf(entry, { snapshot, counts, limits });
    if (hold !== null) holds.set(jobId, hold);
    else if (!entry.counted) for (const name of countNames(entry)) counts.set(name, (counts.get(name) ?? 0) + 1);
    return hold === null;
  };
  const order = takeTurns(snapshot.waiting, scores, isFree);
  const rest = new Map([...snapshot.waiting].filter(([jobId]) => holds.has(jobId)));
  const held = takeTurns(rest, scores, () => true).map(([jobId, entry]) => ({ jobId, entry, hold: holds.get(jobId) ?? raise() }));
  return { order, held };
}

/** Those that may have their turn, in order; `scores` are as after it. */
function takeTurns(waiting: ReadonlyMap<string, Entry>, scores: Map<string, number>, mayHave: (run: [string, Entry]) => boolean): [string, Entry][] {
  const root = plant(waiting, scores);
  const order: [string, Entry][] = [];
  let turn = [...scores.values()].reduce((most, score) => Math.max(most, score), 0);
  for (let left = waiting.size; left > 0; left -= 1) {
    const path = pathOfNext(root);
    const run = path.at(-1)?.line.pop() ?? raise();
    const served = mayHave(run);
    for (let depth = path.length - 1; depth > 0; depth -= 1) moveOn(path[depth - 1] ?? raise(), path[depth] ?? raise(), served);
    if (!served) continue;
    turn += 1;
    for (const { scoreName } of path) scores.set(scoreName, turn);
    order.push(run);
  }
  return order;
}

interface Node {
  readonly name: string;
  readonly scoreName: string;
  readonly children: Map<string, Node>;
  /** The children in the order of their turns; those before `at` had theirs, and stand behind again if anything of them is left. */
  turns: Node[];
  at: number;
  /** The last is the next. */
  readonly line: [string, Entry][];
}

const hasMore = ({ turns, at, line }: Node): boolean => at < turns.length || line.length > 0;

/** Whoever had a turn goes to the end, for no other one was served later. */
function moveOn(parent: Node, child: Node, served: boolean): void {
  const more = hasMore(child);
  if (more && !served) return;
  parent.at += 1;
  if (more) parent.turns.push(child);
}

/** Installations, their repositories, their users, and the line of each. */
function plant(waiting: ReadonlyMap<string, Entry>, scores: ReadonlyMap<string, number>): Node {
  const grow = (name: string, scoreName: string): Node => ({ name, scoreName, children: new Map(), turns: [], at: 0, line: [] });
  const root = grow('', '');
  const child = (parent: Node, name: string, scoreName: string): Node => {
    const known = parent.children.get(name) ?? grow(name, scoreName);
    parent.children.set(name, known);
    return known;
  };
  for (const [jobId, entry] of [...waiting].toSorted(([, one], [, other]) => other.seq - one.seq)) {
    const { i, r, u } = entry;
    const repository = child(child(root, i, `i:${i}`), r, `r:${i}:${r}`);
    child(repository, u, `u:${i}:${r}:${u}`).line.push([jobId, entry]);
  }
  orderTurns(root, scores);
  return root;
}

/** Those served longest ago first. Redis orders equal scores by name. */
function orderTurns(node: Node, scores: ReadonlyMap<string, number>): void {
  const scoreOf = ({ scoreName }: Node): number => scores.get(scoreName) ?? 0;
  node.turns = [...node.children.values()].toSorted((one, other) => scoreOf(one) - scoreOf(other) || (one.name < other.name ? -1 : 1));
  for (const child of node.turns) orderTurns(child, scores);
}

function pathOfNext(root: Node): Node[] {
  const path = [root];
  for (let next = root.turns[root.at]; next !== undefined; next = next.turns[next.at]) path.push(next);
  return path;
}

const countNames = ({ i, r, u }: Entry): [user: string, repository: string] => [`u:${i}:${u}`, `r:${r}`];

interface Look {
  readonly snapshot: Snapshot;
  readonly counts: ReadonlyMap<string, number>;
  readonly limits: AllLimits;
}

function holdOf(entry: Entry, { snapshot, counts, limits }: Look): Hold | null {
  const { holds, now } = snapshot;
  for (const hold of [holds.get(`i:${entry.i}`), holds.get(`r:${entry.r}`), entry.hold]) if (hold && hold.freeAt > now) return hold;
  if (entry.counted) return null;
  const [user, repository] = countNames(entry);
  const allowed = narrow(limits, entry.limits);
  const next = (everyMs: number): number => (Math.floor(now / everyMs) + 1) * everyMs;
  if ((counts.get(user) ?? 0) >= allowed.perUserAndHour) return { limit: 'user_hour', freeAt: next(hourMs) };
  if ((counts.get(repository) ?? 0) >= allowed.perRepositoryAndDay) return { limit: 'repository_day', freeAt: next(dayMs) };
  return null;
}

/** Which slots are taken that a run needs. */
function createSlotLook({ granted, hands }: Snapshot, limits: AllLimits): (entry: Entry) => HeldBy | null {
  const entries = [...granted.values()];
  const busy = (kind: 'i' | 'r', id: string): number => entries.filter((entry) => entry[kind] === id).length;
  return (entry) => {
    const allowed = narrow(limits, entry.limits);
    if (entries.some(({ r, issue }) => r === entry.r && issue === entry.issue)) return { limit: 'issue' };
    if (busy('r', entry.r) >= allowed.perRepository) return { limit: 'repository' };
    if (busy('i', entry.i) >= allowed.perInstallation) return { limit: 'installation' };
    return entries.length >= hands ? { limit: 'total' } : null;
  };
}

function narrow(limits: AllLimits, own: RunLimits): AllLimits {
  const least = (name: keyof RunLimits): number => Math.min(limits[name], own[name] ?? limits[name]);
  return {
    perRepository: least('perRepository'),
    perInstallation: least('perInstallation'),
    perUserAndHour: least('perUserAndHour'),
    perRepositoryAndDay: least('perRepositoryAndDay'),
  };
}

function raise(): never {
  throw new TypeError('the ring has no one who waits');
}
