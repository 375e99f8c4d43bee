/** The forms in which a secret may leave without looking like itself. */

/** A secret alone does not say where in a longer text it began, so of base64 there are three. */
const base64Forms = (secret: Buffer): readonly string[] =>
  [0, 1, 2].map((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), secret]).toString('base64');
    // Each character has six bits; those that it shares with what is before or after the secret are not known.
    return encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + secret.length) * 8) / 6));
  });

/** Each once. Searching for all of them finds the secret plain, as base64 of both alphabets, hexadecimal, URL-encoded, reversed. */
export function formsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  const base64 = base64Forms(bytes);
  const hex = bytes.toString('hex');
  return [
    ...new Set([
      secret,
      ...base64,
      ...base64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_')),
      hex,
      hex.toUpperCase(),
      encodeURIComponent(secret),
      hex.toUpperCase().replaceAll(/../g, '%$&'),
      Buffer.from(Buffer.from(secret).toReversed()).toString(),
    ]),
  ];
}
