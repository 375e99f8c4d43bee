/** Deliveries through a webhook proxy to the real receiver of the web role. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { forwardDeliveries, openChannel } from '../../src/registration/channel.ts';
import { anIssuesPayload } from '../support/payloads.ts';
import { createSmee } from '../support/smee.ts';
import type { Smee } from '../support/smee.ts';
import { deliver, openReceiver } from '../support/web-role.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Setting {
  readonly smee: Smee;
  readonly channel: string;
  readonly events: unknown[];
  /** The next line that says what became of something. */
  line(): Promise<string>;
}

async function forward(options: { raw?: boolean; target?: string } = {}): Promise<Setting> {
  const smee = await createSmee(options);
  const events: unknown[] = [];
  const receiver = await openReceiver({
    enqueue: async (event) => {
      events.push(event);
      return 'queued';
    },
  });
  const stop = new AbortController();
  const lines: string[] = [];
  let wake = Promise.withResolvers<void>();
  const say = (line: string): void => {
    lines.push(line);
    wake.resolve();
  };
  const channel = await openChannel(smee.url, { fetch, signal: stop.signal });
  const done = forwardDeliveries({ channel, target: options.target ?? receiver.url, fetch, say, pauseMs: 10, signal: stop.signal });
  closers.push(
    () => stop.abort(),
    () => done,
    () => receiver.close(),
    () => smee.close(),
  );
  const line = async (): Promise<string> => {
    while (lines.length === 0) {
      await wake.promise;
      wake = Promise.withResolvers();
    }
    return lines.shift() ?? '';
  };
  await line();
  return { smee, channel, events, line };
}

const labeled = anIssuesPayload();
/** The same bytes come out of a parser and a writer of JSON; these do not. */
const oddText = `{"n": 1.0, ${JSON.stringify(labeled).slice(1)}`;

describe('the development proxy', () => {
  it('hands a delivery on with its signature, and tells what became of it', async () => {
    const { channel, events, line } = await forward();

    await deliver(channel, labeled, { guid: randomUUID() });

    expect(await line()).toMatch(/^issues [\w-]{36}: 2\d\d$/);
    expect(events).toHaveLength(1);
  });

  it('hands on the very bytes where the channel keeps them', async () => {
    const { channel, line } = await forward({ raw: true });

    await deliver(channel, oddText);

    expect(await line()).toMatch(/: 2\d\d$/);
  });

  it('says so when the channel wrote the body anew and broke the signature', async () => {
    const { channel, events, line } = await forward();

    await deliver(channel, oddText);

    expect(await line()).toMatch(/: 401 \(.*signature\)$/);
    expect(events).toEqual([]);
  });

  it('connects again, drops what is no delivery, and goes on', async () => {
    const { smee, channel, line } = await forward();

    smee.cut();
    expect(await line()).toContain('does not answer');
    expect(await line()).toContain('Listening on');
    smee.write('data: {"body"\n\n');
    expect(await line()).toContain('no delivery');
    await deliver(channel, labeled);

    expect(await line()).toMatch(/: 2\d\d$/);
  });

  it('says that the web role is not there', async () => {
    const { channel, line } = await forward({ target: 'http://127.0.0.1:1/hooks' });

    await deliver(channel, labeled);

    expect(await line()).toContain('the web role does not answer');
  });

  it('is told when the proxy opens no channel', async () => {
    const signal = new AbortController().signal;

    await expect(openChannel('http://127.0.0.1:1', { fetch, signal })).rejects.toMatchObject({ code: 'proxy_unavailable' });
    await expect(openChannel('http://smee.example.com', { fetch, signal })).rejects.toMatchObject({ code: 'usage' });
    await expect(openChannel('https://smee.io/AbC', { fetch, signal })).resolves.toBe('https://smee.io/AbC');
  });
});
