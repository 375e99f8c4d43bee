/** Stops an answer that holds a credential: a host that repeats what it was sent would otherwise hand it to the guest. */
import type { IncomingMessage } from 'node:http';
import { Transform } from 'node:stream';

export class CredentialInAnswer extends Error {
  readonly code = 'the answer repeats a credential';
}

/** As it stands, as JSON and URLs write it, in hex, and in base64 wherever in it the secret begins. A host that means to give it away has it anyway. */
export function encodedForms(secrets: readonly string[]): readonly Buffer[] {
  const forms = secrets.flatMap((secret) => {
    const [hex, url] = [Buffer.from(secret).toString('hex'), encodeURIComponent(secret)];
    const base64 = [0, 1, 2].map((before) => base64Of(secret, before));
    const urlSafe = base64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'));
    return [secret, JSON.stringify(secret).slice(1, -1), url, url.replace(/%../g, (code) => code.toLowerCase()), hex, hex.toUpperCase(), ...base64, ...urlSafe];
  });
  return [...new Set(forms)].map((form) => Buffer.from(form));
}

/** What depends on the secret alone, when `before` bytes (modulo 3) stand before it. */
function base64Of(secret: string, before: number): string {
  const all = Buffer.from(' '.repeat(before) + secret).toString('base64');
  const isWhole = (before + Buffer.byteLength(secret)) % 3 === 0;
  return all.slice(before === 0 ? 0 : before + 1, isWhole ? undefined : all.indexOf('=') - 1);
}

/** Only a whole answer that is not compressed can be searched: of pieces none holds the credential, and together they are it. */
export function refuseUnsearchable({ statusCode, headers }: IncomingMessage): void {
  const isWhole = statusCode !== 206 && headers['content-range'] === undefined;
  const isPlain =
    (headers['content-encoding'] ?? 'identity').toLowerCase() === 'identity' && (headers['transfer-encoding'] ?? 'chunked').toLowerCase() === 'chunked';
  if (!isWhole) throw Object.assign(new Error('an answer in pieces'), { code: 'an answer in pieces to a credential' });
  if (!isPlain) throw Object.assign(new Error('a compressed answer'), { code: 'a compressed answer to a credential' });
}

export function containsForm(text: string, forms: readonly Buffer[]): boolean {
  return forms.some((form) => text.includes(form.toString()));
}

/** Fails before the first byte of the last form has passed. Holds back as much as could be the beginning of one. */
export function createCredentialGuard(forms: readonly Buffer[]): Transform {
  const most = Math.max(...forms.map(({ length }) => length)) - 1;
  let held: Buffer = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const seen = Buffer.concat([held, chunk]);
      if (forms.some((form) => seen.includes(form))) return done(new CredentialInAnswer('the answer repeats a credential'));
      const passing = Math.max(0, seen.length - most);
      held = seen.subarray(passing);
      done(null, seen.subarray(0, passing));
    },
    flush(done) {
      done(null, held);
    },
  });
}
