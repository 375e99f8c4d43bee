/** What a hostile program in a real guest tries in order to get out, and what becomes of it. */
import { networkInterfaces } from 'node:os';
import { expect, test } from 'vitest';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { helloMessage, nameExtension, record } from '../support/gateway/client-hello.ts';
import { describeInOneGuest } from '../support/gateway/in-guests.ts';
import type { Inside } from '../support/gateway/inside.ts';
import { secureName, serveSecureWeb } from '../support/gateway/secure-web.ts';
import { get, onLoopback, serveWeb, world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';

const allowed = 'web.test.example';
const connect = (authority: string): string => `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
const plain = (url: string): string => `GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n\r\n`;
/** After which nobody waits for anything more in a tunnel. */
const noHello = 'no hello\r\n\r\n';
const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);

/** One way out each, and the rule that is in it. */
const ways: readonly (readonly [what: string, text: string, rule: string | RegExp])[] = [
  ['an address', connect('8.8.8.8:443'), 'address literal'],
  ['a short address', connect('127.1:443'), 'address in a notation of its own'],
  ['a hexadecimal address', connect('0x7f000001:443'), 'address in a notation of its own'],
  ['a decimal address', connect('2130706433:443'), 'address in a notation of its own'],
  ['an octal address', connect('0177.0.0.1:443'), 'address in a notation of its own'],
  ['loopback of IPv6', connect('[::1]:443'), 'address literal'],
  ['IPv4 in IPv6', connect('[::ffff:169.254.169.254]:80'), 'address in a notation of its own'],
  ['the metadata address', connect('169.254.169.254:80'), 'address literal'],
  ['the metadata address of IPv6', connect('[fd00:ec2::254]:80'), 'address literal'],
  ['the metadata address, plain', plain('http://169.254.169.254/latest/meta-data/'), 'address literal'],
  ['a private address', plain('http://10.0.0.1/'), 'address literal'],
  ['a NUL', connect(`evil.example\0.${allowed}:443`), /HPE_|not a host name/],
  ['a coded NUL', connect(`evil.example%00.${allowed}:443`), 'not a host name'],
  ['a person before the name', connect(`${allowed}@evil.example:443`), 'not a host name'],
  ['a name below an allowed one', connect(`a.${allowed}:443`), 'not on the list'],
  ['a name that ends like it', connect(`evil${allowed}:443`), 'not on the list'],
  ['a host that nobody allowed', connect('example.org:443'), 'not on the list'],
  ['a host that nobody allowed, plain', plain('http://example.org/'), 'not on the list'],
  ['a resolver over HTTPS', connect('dns.google:443'), 'not on the list'],
  ['another port', connect(`${allowed}:22`), 'port 22'],
  ['the port of plain HTTP', connect(`${allowed}:80`), 'port 80'],
  ['no port', connect(allowed), 'no port'],
  ['another scheme', 'GET ftp://web.test.example/ HTTP/1.1\r\nHost: web.test.example\r\n\r\n', 'not an http:// address'],
  ['another Host', `GET http://${allowed}/ HTTP/1.1\r\nHost: evil.example\r\n\r\n`, 'another Host header'],
  ['two Hosts', `GET http://${allowed}/ HTTP/1.1\r\nHost: ${allowed}\r\nHost: evil.example\r\n\r\n`, 'more than one Host header'],
  ['two lengths', `POST http://${allowed}/ HTTP/1.1\r\nHost: ${allowed}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde`, /HPE_/],
  ['a length and a coding', `POST http://${allowed}/ HTTP/1.1\r\nHost: ${allowed}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, /HPE_/],
  ['a coding of its own', `POST http://${allowed}/ HTTP/1.1\r\nHost: ${allowed}\r\nTransfer-Encoding: xchunked\r\n\r\n`, /HPE_|Transfer-Encoding/],
  ['a head that is too large', `GET http://${allowed}/ HTTP/1.1\r\nHost: ${allowed}\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`, 'HPE_HEADER_OVERFLOW'],
  ['nonsense', 'nonsense\r\n\r\n', /HPE_/],
  ['the greeting of SOCKS 5', '\u0005\u0001\u0000', /HPE_/],
  ['SOCKS 5 with a NUL in the name', `\u0005\u0001\u0000\u0005\u0001\u0000\u0003\u0016evil\0.${allowed}\u0001\u00bb`, /HPE_/],
  ['SOCKS 4 with a name', `\u0004\u0001\u0001\u00bb\0\0\0\u0001me\0evil\0.${allowed}\0`, /HPE_/],
  ['the name that a wildcard is below', connect('wild.test.example:443'), 'not on the list'],
  ['a name that only ends like a wildcard', connect('evilwild.test.example:443'), 'not on the list'],
  ['letters in the labels of a name', connect(`${'a'.repeat(63)}.${'b'.repeat(63)}.example.org:443`), 'not on the list'],
];

/** What the name of an allowed host may turn out to mean, and the rule that says no. */
const meanings: Readonly<Record<string, readonly [rule: string, ...addresses: readonly string[]]>> = {
  private10: ['private', '10.1.2.3'],
  private172: ['private', '172.16.0.1'],
  private192: ['private', '192.168.0.1'],
  loopback: ['loopback', '127.0.0.1'],
  loopback6: ['loopback', '::1'],
  linklocal: ['link-local', '169.254.169.254'],
  linklocal6: ['private', 'fe80::1'],
  unique6: ['private', 'fdaa::3'],
  sitelocal6: ['private', 'fec0::1'],
  shared: ['carrier-grade NAT', '100.64.0.1'],
  any: ['unspecified', '0.0.0.0'],
  any6: ['private', '::'],
  broadcast: ['reserved', '255.255.255.255'],
  reserved: ['reserved', '240.0.0.1'],
  multicast: ['multicast', '224.0.0.1'],
  multicast6: ['private', 'ff02::1'],
  assignments: ['protocol assignments', '192.0.0.8'],
  wireserver: ['platform of Azure', '168.63.129.16'],
  benchmark: ['benchmark', '198.18.0.1'],
  mapped: ['private', '::ffff:10.0.0.1'],
  nat64: ['private', '64:ff9b::10.0.0.1'],
  nat64local: ['private', '64:ff9b:1::a00:1'],
  sixtofour: ['tunnel', '2002:a00:1::1'],
  teredo: ['tunnel', '2001:0:a00:1::1'],
  compatible: ['reserved', '::10.0.0.1'],
  mixed: ['private', '93.184.216.34', '192.168.0.1'],
  mixed6: ['private', '2606:4700::1111', 'fdaa::3'],
};
const meant = (label: string): string => `${label}.wild.test.example`;

const resolve = (host: string): Awaited<ReturnType<NonNullable<GatewayOptions['lookup']>>> => {
  const [, ...addresses] = meanings[host.split('.')[0] ?? ''] ?? ['', '93.184.216.34'];
  return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
};

/** Without the gateway: nothing answers, whatever it is asked through. */
const directScript = `
import socket
for family, kind, place in [(socket.AF_INET, socket.SOCK_STREAM, ("8.8.8.8", 443)), (socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80)),
                            (socket.AF_INET6, socket.SOCK_STREAM, ("2001:4860:4860::8888", 443)), (socket.AF_INET6, socket.SOCK_STREAM, ("fd00:ec2::254", 80)),
                            (socket.AF_INET, socket.SOCK_DGRAM, ("8.8.8.8", 53)), (socket.AF_INET6, socket.SOCK_DGRAM, ("2001:4860:4860::8888", 443))]:
    try:
        with socket.socket(family, kind) as one:
            one.settimeout(2)
            one.connect(place)
            one.send(b"x" * 20)
            one.recv(1)
        print("reached", place)
    except OSError as error:
        print("no")
for name in ["example.org", "web.test.example", "metadata.google.internal"]:
    try:
        print("resolved", socket.getaddrinfo(name, 443))
    except OSError as error:
        print("no")
`;

describeInOneGuest('the way out of', 'that wants to get out', (guest) => {
  const enter = async (allow: readonly string[], options: Partial<GatewayOptions> = {}): Promise<Inside & { gate: World }> => {
    const gate = await world(allow, options);
    return { ...(await guest.doorway.use(gate)), gate };
  };

  test('reaches nothing past the gateway, and has no DNS', async () => {
    const { output } = await (await enter([])).run(['python3', '-c', directScript]);

    expect(output.trim().split('\n')).toEqual(Array.from({ length: 9 }, () => 'no'));
  });

  test('is refused each of the known ways, and each is a line in the ledger', async () => {
    const resolved: string[] = [];
    const lookup: GatewayOptions['lookup'] = async (host) => {
      resolved.push(host);
      return resolve(host);
    };
    const { say, gate } = await enter([allowed, '*.wild.test.example'], { lookup, internal: [] });
    const byName = Object.entries(meanings).map(([label, [rule]]) => [`${label} by name`, connect(`${meant(label)}:443`), `${rule} address`] as const);
    const all = [...ways, ...byName];

    const answers = await say(all.map(([, text]) => text));

    const seen = all.map(([what], index) => [
      what,
      Math.floor(statusOf(answers[index] ?? '') / 100),
      gate.gateway.ledger[index]?.decision,
      gate.gateway.ledger[index]?.rule,
    ]);
    expect(seen).toEqual(all.map(([what, , rule]) => [what, 4, 'refused', expect.stringMatching(rule)]));
    // A name that is not on the list is not even asked for: it would be a letter to whoever answers for it.
    expect(resolved.toSorted()).toEqual(Object.keys(meanings).map(meant).toSorted());
  });

  test('is not led to any address of the host itself, nor to its neighbours', async () => {
    const cards = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
    const shared = cards.filter(({ family, cidr }) => family === 'IPv4' && !cidr?.endsWith('/32'));
    const neighbours = shared.map(({ address }) => address.replace(/\d+$/, (last) => String(Number(last) ^ 1)));
    const places = [...cards.map(({ address }) => address), ...neighbours];
    const lookup: GatewayOptions['lookup'] = async (host) => [{ address: places[Number(/\d+/.exec(host)?.[0])] ?? '', family: 4 }];
    const { say, gate } = await enter(['*.near.test.example'], { lookup, internal: [], limits: { dialTimeoutMs: 1000 } });

    const answers = await say(places.map((_, index) => connect(`place${index}.near.test.example:443`)));

    expect(answers.map(statusOf)).toEqual(places.map(() => 403));
    const isOurs = expect.stringMatching(/^(?:own|own network|loopback|private|link-local|carrier-grade NAT) address$/);
    expect(gate.gateway.ledger.map(({ rule }) => rule)).toEqual(places.map(() => isOurs));
  });

  test('gets to an allowed host however it spells its name, and not by another name inside the tunnel', async () => {
    const web = await serveSecureWeb();
    const { say, run, gate } = await enter([web.place], { trust: web.trust });
    const port = web.place.split(':')[1] ?? '';
    const hello = (server: string): string => record(helloMessage([nameExtension(server)])).toString('latin1');

    const [dotted = '', fronted = ''] = await say([
      [connect(`${secureName.toUpperCase()}.:${port}`), noHello],
      [connect(web.place), hello('evil.test.example')],
    ]);
    const inspected = await enter([`GET ${web.place}/*`], { trust: web.trust });
    const right = await run(['curl', '-sS', '-w', ' over %{http_version}', `https://${web.place}/`]);
    const wrong = await run(['curl', '-sS', '-H', 'Host: evil.test.example', `https://${web.place}/`]);
    const wrong2 = await run(['curl', '-sS', '--http2', '-X', 'PUT', '-d', 'out', `https://${web.place}/`]);

    expect(statusOf(dotted)).toBe(200);
    expect(fronted.slice(-7)).toBe('\u0015\u0003\u0003\u0000\u0002\u0002\u0031');
    expect(gate.gateway.ledger.map(({ rule }) => rule)).toContain('another TLS server name');
    expect(right).toEqual({ exitCode: 0, output: 'hello over 2' });
    expect(wrong.output).toContain('another Host header');
    expect(wrong2.output).toMatch(/mayfly: PUT to secure\.test\.example is not allowed in this phase \(setup\)\. To allow it, add "PUT /);
    expect(inspected.gate.gateway.ledger.filter(({ decision }) => decision === 'refused')).toHaveLength(2);
    expect(web.seen).toHaveLength(1);
  });

  test('is not led to a private address by a redirect, nor by a name that changes its address', async () => {
    const web = await serveWeb((_request, response) => response.writeHead(302, { location: 'http://169.254.169.254/latest/' }).end());
    let asked = 0;
    const rebinding: GatewayOptions['lookup'] = async (host2) =>
      host2 === 'rebind.test.example' ? [{ address: ['93.184.216.34', '127.0.0.1'][Math.min(asked++, 1)] ?? '', family: 4 }] : await onLoopback(host2);
    const { run, say, gate } = await enter([web.host, 'rebind.test.example'], {
      lookup: rebinding,
      internal: ['web.test.example'],
      limits: { dialTimeoutMs: 1000 },
    });

    const redirected = await run(['curl', '-sSL', `http://${web.host}/`]);
    await say([[connect('rebind.test.example:443'), noHello]]);
    const [again = ''] = await say([connect('rebind.test.example:443')]);

    expect(redirected.output).toContain('169.254.169.254 is an address');
    expect(again).toContain('leads to an address that is not public (loopback address)');
    // The name is asked for once for each connection: what was checked is what is connected to.
    expect(asked).toBe(2);
    expect(web.seen).toHaveLength(1);
    expect(gate.gateway.ledger.at(-1)?.rule).toBe('loopback address');
  });

  test('cannot hide a second request behind the first', async () => {
    const web = await serveWeb();
    const { say, gate } = await enter([web.host]);

    await say([`${get(web.host)}${get(web.host).replace('/a?b', '/second')}`]);

    expect(web.seen).toEqual([]);
    expect(gate.gateway.ledger.map(({ path, decision, rule }) => [path, decision, rule])).toEqual([['/a', 'refused', 'second request']]);
  });

  test('has so many connections, so much time for a head, so many bytes and requests', async () => {
    const web = await serveWeb((_request, response) => response.end('x'.repeat(20_000)));
    const crowd = `
import socket
held = [socket.create_connection(("127.0.0.1", 3128), 60) for _ in range(5)]
print(held.pop().recv(100).split()[1].decode())
`;
    const halfHead = `
import socket
with socket.create_connection(("127.0.0.1", 3128), 60) as slow:
    try:
        slow.sendall(b"GET http://")
        print(len(slow.recv(100)))
    except ConnectionError:
        print(0)
`;
    const crowded = await enter([web.host], { limits: { connections: 4, headerTimeoutMs: 60_000 } });
    const crowding = await crowded.run(['python3', '-c', crowd]);
    const hasty = await enter([web.host], { limits: { headerTimeoutMs: 500 } });
    const late = await hasty.run(['python3', '-c', halfHead]);
    const spent = await enter([web.host], { limits: { totalBytes: 30_000 } });
    const bytes = await spent.say([get(web.host), get(web.host), get(web.host)]);
    const few = await enter([web.host], { limits: { requests: 2 } });
    const requests = await few.say([get(web.host), get(web.host), get(web.host)]);

    expect([crowding, late].map(({ output }) => output)).toEqual(['503\n', '0\n']);
    expect(bytes.map(statusOf)).toEqual([200, expect.any(Number), 403]);
    expect(bytes[1]?.length).toBeLessThan(20_000);
    expect(bytes[2]).toContain('has used up its');
    expect(requests.map(statusOf)).toEqual([200, 200, 403]);
  });

  test('cannot use the names of packages to write letters', async () => {
    const web = await serveSecureWeb();
    const { run, gate } = await enter([web.place], { trust: web.trust, phase: 'agent', registries: [{ kind: 'npm', host: web.place, basePath: '/' }] });
    const { output } = await run(['curl', '-s', '-o', '/dev/null', '-w', '%{http_code} ', `https://${web.place}/canary-[1-51]`]);

    expect(output.trim().split(' ')).toEqual([...Array.from({ length: 50 }, () => '200'), '403']);
    expect(gate.gateway.ledger.at(-1)).toMatchObject({ decision: 'refused', path: '/canary-51', rule: 'more than 50 package names' });
  });
});
