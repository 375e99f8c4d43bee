/** Stops an answer that holds a credential: a host that repeats what it was sent would otherwise hand it to the guest. */
import { Transform } from 'node:stream';

export class Echo extends Error {
  readonly code = 'the answer repeats a credential';
}

/** As it stands, in base64, and as JSON and URLs write it. A host that means to give it away has it anyway. */
export function formsOf(secrets: readonly string[]): readonly Buffer[] {
  const forms = secrets.flatMap((secret) => [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
    Buffer.from(secret).toString('base64').replace(/=+$/, '').slice(0, -1),
  ]);
  return [...new Set(forms)].map((form) => Buffer.from(form));
}

export function findEcho(text: string, forms: readonly Buffer[]): boolean {
  return forms.some((form) => text.includes(form.toString()));
}

/** Fails before the first byte of the last form has passed. Holds back as much as could be the beginning of one. */
export function createEchoGuard(forms: readonly Buffer[]): Transform {
  const most = Math.max(...forms.map(({ length }) => length)) - 1;
  let held: Buffer = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const seen = Buffer.concat([held, chunk]);
      if (forms.some((form) => seen.includes(form))) return done(new Echo('the answer repeats a credential'));
      const passing = Math.max(0, seen.length - most);
      held = seen.subarray(passing);
      done(null, seen.subarray(0, passing));
    },
    flush(done) {
      done(null, held);
    },
  });
}
