/**
 * A history made shorter, for a model that cannot read all of it. The task and the latest steps stay as they are. Of what
 * is older, first the outputs go; when that is not enough, the steps become notes: the agent's own words, and one line a call.
 */
import type { Message } from '../model/model.ts';
import { clipLines } from './clip.ts';
import { pickFence } from './prompt.ts';

/** Of an old output: enough to know what it was. */
const oldOutputBytes = 400;
/** Of the latest outputs together, whatever else there is: without an answer to its last step no agent goes on. */
const lastOutputBytes = 4000;
const wordsCharacters = 600;
const callCharacters = 200;
/** What was handed in, when the host asked for another round. */
const summaryCharacters = 2000;

export function bytesOf(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + bytesOfOne(message), 0);
}

/** A reply goes back in the vendor's own form where there is one, with opaque data that may be the most of it. */
function bytesOfOne(message: Message): number {
  if (message.role === 'user') return Buffer.byteLength(message.text);
  if (message.role === 'tool') return message.results.reduce((sum, result) => sum + Buffer.byteLength(result.text), 0);
  const plain = message.toolCalls.reduce((sum, call) => sum + jsonBytes(call.input), Buffer.byteLength(message.text));
  return Math.max(plain, message.continuation === undefined ? 0 : jsonBytes(message.continuation));
}

const jsonBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value) ?? '');

/** At most about `target` bytes. The first message is the task. What the host has said stays word for word. */
export function shorten(messages: readonly Message[], target: number): readonly Message[] {
  const recentAt = findRecent(messages, target / 2);
  const recent = messages.slice(recentAt);
  const old = messages.slice(0, recentAt).map((message) => clipResults(message, oldOutputBytes, 'repeat the call if you need it'));
  if (bytesOf([...old, ...recent]) <= target) return [...old, ...recent];
  const [task, ...steps] = messages.slice(0, recentAt);
  const said = steps.filter((message) => message.role === 'user' && !isNotes(message));
  const kept = [...(task === undefined ? [] : [task]), ...writeNotes(steps, target / 4), ...said];
  const room = target - bytesOf(kept);
  const results = recent.reduce((count, message) => count + (message.role === 'tool' ? message.results.length : 0), 0);
  if (bytesOf(recent) <= room) return [...kept, ...recent];
  const share = Math.max(oldOutputBytes, Math.floor(room / 2 / Math.max(1, results)));
  const last = recent.findLast((message) => message.role === 'tool');
  const lastShare = Math.max(share, Math.floor(lastOutputBytes / Math.max(1, last?.results.length ?? 0)));
  return [...kept, ...recent.map((message) => clipResults(message, message === last ? lastShare : share, 'look at it in parts'))];
}

/** Where the latest steps begin: always with a reply, because an answer without its call is refused by vendors. At least two of them. */
function findRecent(messages: readonly Message[], room: number): number {
  const replies = messages.flatMap((message, index) => (message.role === 'assistant' && index > 0 ? [index] : []));
  let from = messages.length;
  for (let bytes = 0; from > 0 && bytes <= room; from--) bytes += bytesOf(messages.slice(from - 1, from));
  const fitting = replies.find((index) => index > from);
  return Math.min(fitting ?? messages.length, replies.at(-2) ?? replies.at(-1) ?? messages.length);
}

/** As many characters of this text as come to so many bytes. */
const charactersIn = (text: string, bytes: number): number => Math.floor((bytes * text.length) / Math.max(1, Buffer.byteLength(text)));

function clipResults(message: Message, mostBytes: number, advice: string): Message {
  if (message.role !== 'tool') return message;
  const results = message.results.map((result) => {
    if (Buffer.byteLength(result.text) <= mostBytes + 200) return result;
    const most = charactersIn(result.text, mostBytes);
    return { ...result, text: `${clipLines(clipWide(result.text, most), most)}\n[shortened by the host, to save room: ${advice}]` };
  });
  return { ...message, results };
}

/** Lines are clipped at 2,000 characters only, which is more than an old output has. */
function clipWide(text: string, most: number): string {
  const longest = Math.max(100, Math.floor(most / 4));
  return text
    .split('\n')
    .map((line) => (line.length > longest ? `${line.slice(0, longest)}…` : line))
    .join('\n');
}

const notesHead = 'To save room, the host has replaced your earlier steps by these notes: your own words, and one line a call. Files are as you left them.';
const isNotes = (message: Message): boolean => message.role === 'user' && message.text.startsWith(notesHead);

/** Notes that are there already go on growing. Between fences: what the agent wrote may hold what it read. */
function writeNotes(steps: readonly Message[], mostBytes: number): readonly Message[] {
  const lines = steps.flatMap((message) => {
    if (isNotes(message) && message.role === 'user') return message.text.split('\n').slice(2, -1);
    return message.role === 'assistant' ? noteStep(message, answersTo(message, steps)) : [];
  });
  if (lines.length === 0) return [];
  const all = lines.join('\n');
  const text = clipLines(all, charactersIn(all, mostBytes));
  return [{ role: 'user', text: `${notesHead}\n${pickFence(text)('notes', text)}` }];
}

type Result = Extract<Message, { role: 'tool' }>['results'][number];

/** The answers come right after the reply; ids of some vendors are used again in later replies. */
function answersTo(reply: Message, steps: readonly Message[]): readonly Result[] {
  const next = steps[steps.indexOf(reply) + 1];
  return next?.role === 'tool' ? next.results : [];
}

function noteStep(reply: Extract<Message, { role: 'assistant' }>, answers: readonly Result[]): string[] {
  const words = oneLine(reply.text, wordsCharacters);
  const calls = reply.toolCalls.map((call, index) => {
    const { command, path, summary } = (typeof call.input === 'object' && call.input !== null ? call.input : {}) as Record<string, unknown>;
    const what = [command, path, summary].find((value): value is string => typeof value === 'string') ?? '';
    const answer = answers[index];
    const how = answer === undefined ? 'no answer' : (howItEnded(answer.text) ?? (answer.failed ? 'failed' : 'done'));
    return `  ${call.name.slice(0, 64)} ${oneLine(what, call.name === 'submit' ? summaryCharacters : callCharacters)}: ${how}`;
  });
  return [...(words === '' ? [] : [`- ${words}`]), ...calls];
}

/** What the tool said last of the command; what comes after it is ours, and short. */
function howItEnded(text: string): string | undefined {
  const lines = text.slice(-4000).split('\n');
  return lines.map((line) => /^\[((?:exit code|stopped|ended by)[^\]]{0,60})/.exec(line)?.[1]).findLast((how) => how !== undefined);
}

function oneLine(text: string, most: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= most ? line : `${line.slice(0, most)}…`;
}
