/** What every provider builds its sandbox on: commands, files and forwards over one byte stream to the guest. */
import { connect } from './connection.ts';
import type { ConnectOptions } from './connection.ts';
import { createExec, templateLayout } from './exec.ts';
import type { GuestLayout } from './exec.ts';
import { createFiles } from './files.ts';
import type { Sandbox } from './sandbox.ts';

export interface ChannelOptions extends Omit<ConnectOptions, 'login'> {
  /** Default: what the template has. */
  readonly layout?: GuestLayout;
}

/** The part of the Sandbox port that goes over SSH. Every call throws `sandbox_lost` once the connection is gone. */
export interface Channel extends Pick<Sandbox, 'exec' | 'put' | 'get' | 'forward'> {
  /** Resolves when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  /** Ends the connection. Idempotent. */
  close(): void;
}

/** Throws `cancelled`, or `sandbox_lost` when the guest does not answer, has another host key or refuses ours. */
export async function openChannel(options: ChannelOptions): Promise<Channel> {
  const layout = options.layout ?? templateLayout;
  const connection = await connect({ ...options, login: layout.login });
  const exec = createExec(connection, layout);
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  if (connection.lost.aborted) resolve();
  connection.lost.addEventListener('abort', () => resolve(), { once: true });
  return {
    exec,
    ...createFiles(exec),
    forward: (port, accept) => connection.forward(port, accept),
    closed,
    close: () => connection.lose('closed by us'),
  };
}
