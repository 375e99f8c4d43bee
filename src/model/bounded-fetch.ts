/** Fetch for an endpoint that may misbehave: follows no redirect (the key would go along) and ends a body that is too large. */
import { FixError } from '../errors.ts';

export function createBoundedFetch(maxBytes: number, inner: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const response = await inner(input, { ...init, redirect: 'manual' });
    if (response.body === null) return response;
    const { status, statusText, headers } = response;
    return new Response(response.body.pipeThrough(limitBytes(maxBytes)), { status, statusText, headers });
  };
}

function limitBytes(maxBytes: number): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  let seen = 0;
  return new TransformStream({
    transform(chunk, controller) {
      seen += chunk.byteLength;
      if (seen <= maxBytes) controller.enqueue(chunk);
      else controller.error(new FixError('model_reply_endless', { details: { problem: 'the reply is too large', maxBytes } }));
    },
  });
}
