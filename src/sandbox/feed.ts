/** The standard input of a command in the guest. */
import { once } from 'node:events';
import { Readable } from 'node:stream';
import type { ClientChannel } from 'ssh2';

/**
 * Sends the preamble, then all of the input, then its end. A source that fails never gets an end: the command must
 * not take a part for the whole. A command that ends without reading everything is no failure; the source is destroyed.
 */
export async function feed(channel: ClientChannel, preamble: readonly (string | Buffer)[], input: Readable | Uint8Array | string | undefined): Promise<void> {
  for (const part of preamble) channel.write(part);
  if (!(input instanceof Readable)) {
    channel.end(input);
    return;
  }
  let open = true;
  const closed = new Promise<void>((resolve) => {
    channel.once('close', () => {
      open = false;
      input.destroy();
      resolve();
    });
  });
  try {
    for await (const chunk of input) {
      if (!open) return;
      if (!channel.write(chunk)) await Promise.race([once(channel, 'drain'), closed]);
    }
    if (open) channel.end();
  } catch (thrown) {
    if (open) throw thrown;
  }
}
