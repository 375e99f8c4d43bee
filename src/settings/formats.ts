/** What the texts in a settings file may look like. Every check is linear in the length of its text. */

/** A name of the zone database, in its own capitals: the guest's C library finds no other, and then takes UTC without a word. */
export function isTimeZone(name: string): boolean {
  if (name.length > 64 || !/^[A-Z]\w*(?:[/+-]\w+)*$/.test(name)) return false;
  try {
    const known = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
    return known === name || known.toLowerCase() !== name.toLowerCase();
  } catch {
    return false;
  }
}

export function isLocale(name: string): boolean {
  const [, language, country] = /^([a-z]{2,3})_([A-Z]{2})\.UTF-8$/.exec(name) ?? [];
  return name === 'C.UTF-8' || (language !== undefined && Intl.DateTimeFormat.supportedLocalesOf(`${language}-${country}`).length > 0);
}

/** `example.org`, `*.example.org`, `example.org:8443`. What the gateway takes is more; nothing that it refuses passes here. */
export function isHost(text: string): boolean {
  const [, wildcard, name = '', port = '443'] = /^(\*\.)?([A-Za-z0-9_.-]{1,253})(?::(\d{1,5}))?$/.exec(text) ?? [];
  const labels = name.split('.');
  const isName = labels.every((label) => /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label));
  // What ends in a number is an address, or would be read as one.
  const isAddress = /^(?:\d+|0[xX][\da-fA-F]*)$/.test(labels.at(-1) ?? '');
  return (
    isName && (!isAddress || isAddressOfFour(labels, wildcard)) && Number(port) >= 1 && Number(port) <= 65_535 && (wildcard === undefined || labels.length > 1)
  );
}

const isAddressOfFour = (labels: readonly string[], wildcard: string | undefined): boolean =>
  wildcard === undefined && labels.length === 4 && labels.every((label) => /^(?:0|[1-9]\d{0,2})$/.test(label) && Number(label) < 256);

/** A login of a person or `organization/team`. */
export const reviewerPattern = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:\/[a-z0-9](?:[a-z0-9_-]{0,99}))?$/;
/** As `sender.login` has it; `[bot]` is part of the name of an App. */
export const botPattern = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:\[bot\])?$/;
/** The first part of the name of a branch. */
export const prefixPattern = /^[a-z0-9]+(?:-[a-z0-9]+){0,9}$/;
