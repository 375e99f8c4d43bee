/**
 * A forwarded connection as an ordinary stream. ssh2's own channel is not one: it is never `destroyed`, a write
 * after the guest closed never calls back, and it does not close while nobody reads.
 */
import { Duplex } from 'node:stream';
import type { Channel } from 'ssh2';

/** Each side can be ended alone; `lost` destroys it. */
export function createTunnel(channel: Channel, lost: AbortSignal): Duplex {
  let closed = false;
  let pending: ((error?: Error) => void) | null = null;
  const tunnel = new Duplex({
    allowHalfOpen: true,
    read: () => void channel.resume(),
    write(chunk: Buffer, _encoding, callback) {
      if (closed) return callback(new Error('the guest closed the connection'));
      pending = callback;
      channel.write(chunk, () => settle());
    },
    final(callback) {
      if (!closed) channel.end();
      callback();
    },
    destroy(error, callback) {
      lost.removeEventListener('abort', onLost);
      channel.destroy();
      // Nobody reads it any more, and ssh2 lets it go only at its end.
      channel.removeAllListeners('data').resume();
      callback(error);
    },
  });
  const settle = (error?: Error): void => {
    const callback = pending;
    pending = null;
    callback?.(error);
  };
  const onLost = (): void => void tunnel.destroy();
  lost.addEventListener('abort', onLost, { once: true });
  channel.on('data', (chunk: Buffer) => {
    if (!tunnel.push(chunk)) channel.pause();
  });
  channel.once('end', () => tunnel.push(null));
  channel.once('close', () => {
    closed = true;
    settle(new Error('the guest closed the connection'));
  });
  return tunnel;
}
