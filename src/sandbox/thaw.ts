/**
 * Thaw: gives a machine that woke from a template (or from a cold boot) its own time, entropy, name and keys. The
 * guest's half is guest-init.c, which starts sshd only after every line was applied; the format is described there.
 */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { FixError } from '../errors.ts';
import { createSshKey } from './ssh-key.ts';

const maxAnswerBytes = 256;

/** What one machine is told. Made fresh for each, used once. */
export interface Identity {
  readonly version: string;
  readonly hostname: string;
  readonly machineId: string;
  readonly entropy: Buffer;
  /** OpenSSH format, for sshd. */
  readonly hostPrivateKey: string;
  /** Public key blob, for the client to compare. */
  readonly hostKey: Buffer;
  /** OpenSSH format, for the client. */
  readonly clientPrivateKey: string;
  readonly authorizedKey: string;
}

export function createIdentity(hostname: string): Identity {
  const host = createSshKey();
  const client = createSshKey();
  return {
    version: '1',
    hostname,
    machineId: randomBytes(16).toString('hex'),
    entropy: randomBytes(128),
    hostPrivateKey: host.privateKey,
    hostKey: host.blob,
    clientPrivateKey: client.privateKey,
    authorizedKey: `ssh-ed25519 ${client.blob.toString('base64')}`,
  };
}

/** The message as it goes over the port. */
export function thawMessage(identity: Identity, nowMs: number): string {
  return [
    `mayfly-thaw ${identity.version}`,
    `time ${nowMs}`,
    `entropy ${identity.entropy.toString('base64')}`,
    `hostname ${identity.hostname}`,
    `machine-id ${identity.machineId}`,
    `host-key ${Buffer.from(identity.hostPrivateKey).toString('base64')}`,
    `authorized-key ${identity.authorizedKey}`,
    'end\n',
  ].join('\n');
}

/** For a machine that waited after its thaw: what of it has grown old. */
export function thawAgainMessage(nowMs: number): string {
  return ['mayfly-thaw 1', `time ${nowMs}`, `entropy ${randomBytes(128).toString('base64')}`, 'end\n'].join('\n');
}

/** Waits until a booting guest says that it can be thawed. A restored one has said so before it was saved. */
export async function awaitReady(stream: Duplex): Promise<void> {
  const line = await readLine(stream, 'sandbox_boot');
  if (line !== 'ready') throw new FixError('sandbox_boot', { details: { why: 'the guest did not get ready', line } });
}

/** Sends the identity; returns when the guest has applied all of it. After that the stream speaks SSH. */
export async function thaw(stream: Duplex, identity: Identity): Promise<void> {
  stream.write(thawMessage(identity, Date.now()));
  const line = await readLine(stream, 'sandbox_thaw');
  if (line !== 'ok') throw new FixError('sandbox_thaw', { details: { line } });
}

/** One line from the guest; what comes after it stays in the stream. Throws `failure` when there is none. */
async function readLine(stream: Duplex, failure: 'sandbox_boot' | 'sandbox_thaw'): Promise<string> {
  let text = Buffer.alloc(0);
  for (;;) {
    const chunk: unknown = stream.read();
    if (chunk === null) {
      if (stream.readableEnded || stream.destroyed) throw new FixError(failure, { details: { why: 'the guest went away', text: text.toString('latin1') } });
      await readable(stream);
      continue;
    }
    text = Buffer.concat([text, chunk as Buffer]);
    const end = text.indexOf('\n');
    if (end < 0 && text.length < maxAnswerBytes) continue;
    if (end < 0) throw new FixError(failure, { details: { why: 'the answer is too long' } });
    if (end + 1 < text.length) stream.unshift(text.subarray(end + 1));
    return text.subarray(0, end).toString('latin1');
  }
}

function readable(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of ['readable', 'end', 'close', 'error']) stream.off(event, done);
      resolve();
    };
    for (const event of ['readable', 'end', 'close', 'error']) stream.on(event, done);
  });
}
