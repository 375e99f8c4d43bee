/** Which addresses a guest must never be led to, whatever a name resolves to. */
import ipaddr from 'ipaddr.js';

/**
 * IPv4 that is not the public internet: IANA's special-purpose registry without the documentation ranges
 * (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24), which are not routed and so lead nowhere.
 */
const blockedIpv4 = [
  ['0.0.0.0/8', 'unspecified'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'carrier-grade NAT'],
  ['127.0.0.0/8', 'loopback'],
  // https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16: public by its number alone
  ['168.63.129.16/32', 'platform of Azure'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'protocol assignments'],
  ['192.88.99.0/24', '6to4 relay'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'benchmark'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
].map(([range, name]) => ({ range: ipaddr.IPv4.parseCIDR(range ?? ''), name: name ?? '' }));

const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3');
const translated = ipaddr.IPv6.parseCIDR('64:ff9b::/96');
/** Inside 2000::/3, but tunnels: they carry an IPv4 address that we would not see. */
const tunnels = ['2001::/23', '2002::/16'].map((range) => ipaddr.IPv6.parseCIDR(range));

/** Why this address is out of bounds, or null when it is on the public internet. Unreadable text is out of bounds. */
export function blockedAddressReason(text: string): string | null {
  if (!ipaddr.isValid(text)) return 'unreadable';
  // The long-dead ::192.0.2.1 (RFC 4291 2.5.5.1), which the parser takes for ::ffff:192.0.2.1.
  if (/^::\d+\./.test(text)) return 'reserved';
  const address = ipaddr.parse(text);
  return address instanceof ipaddr.IPv4 ? blockedV4Reason(address) : blockedV6Reason(address);
}

/**
 * Whether this address is one of the host's cards (`192.0.2.2/24`), or on their networks: whatever numbers those have,
 * who stands there trusts its neighbours more than the world.
 */
export function ownAddressReason(text: string, cards: readonly string[]): 'own' | 'own network' | null {
  const address = plainAddress(text);
  const reasons = cards.flatMap((card) => {
    const [own = '', bits] = card.split('/');
    const place = plainAddress(own);
    if (address === null || place === null || address.kind() !== place.kind()) return [];
    const allBits = 8 * place.toByteArray().length;
    if (address.match(place, allBits)) return ['own' as const];
    return address.match(place, Number(bits ?? allBits)) ? ['own network' as const] : [];
  });
  return reasons.includes('own') ? 'own' : (reasons[0] ?? null);
}

/** One for one machine: IPv4 in IPv6 is IPv4, and a zone says only by which card. Null for what is no address. */
function plainAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  const [unzoned = ''] = text.split('%', 1);
  if (!ipaddr.isValid(unzoned)) return null;
  const address = ipaddr.parse(unzoned);
  return address instanceof ipaddr.IPv6 ? (carriedV4(address) ?? address) : address;
}

/** The IPv4 address that an IPv6 address stands for. */
function carriedV4(address: ipaddr.IPv6): ipaddr.IPv4 | null {
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  // NAT64: on a network without IPv4 the public internet itself has these addresses (RFC 6052).
  return address.match(translated) ? new ipaddr.IPv4(address.toByteArray().slice(12)) : null;
}

function blockedV4Reason(address: ipaddr.IPv4): string | null {
  return blockedIpv4.find(({ range }) => address.match(range))?.name ?? null;
}

function blockedV6Reason(address: ipaddr.IPv6): string | null {
  if (address.zoneId) return 'link-local';
  const carried = carriedV4(address);
  if (carried) return blockedV4Reason(carried);
  if (!address.match(globalUnicast)) return address.range() === 'loopback' ? 'loopback' : 'private';
  return tunnels.some((range) => address.match(range)) ? 'tunnel' : null;
}
