/** Requests that one server takes for one and another for two, or that name a host beside the one they go to. */
import { http2Request } from './http2-frames.ts';

/** What becomes of it: nothing of it goes on, or one plain `GET /a` does, without what was hidden in it. */
export type Fate = 'refused' | 'cleaned';
export type Smuggled = readonly [what: string, bytes: Buffer, fate: Fate];

const hidden = (place: string): string => `GET /hidden HTTP/1.1\r\nHost: ${place}\r\n\r\n`;

/** What stands before the empty line, and a body; `GET` closes its connection by itself. */
export function overHttp1(place: string): Smuggled[] {
  const get = (head: string, body = ''): string => `GET /a HTTP/1.1\r\nHost: ${place}\r\nConnection: close\r\n${head}\r\n${body}`;
  const post = (head: string, body: string): string => `POST /post HTTP/1.1\r\nHost: ${place}\r\n${head}\r\n${body}`;
  const length = (text: string): string => post(`Content-Length: ${text}\r\n`, `abc${hidden(place)}`);
  const coding = (text: string): string => post(`Transfer-Encoding:${text}\r\n`, `0\r\n\r\n${hidden(place)}`);
  const chunk = (text: string): string => post('Transfer-Encoding: chunked\r\n', `${text}0\r\n\r\n${hidden(place)}`);
  const host = (text: string): string => `GET /a HTTP/1.1\r\n${text}Connection: close\r\n\r\n`;
  const target = (text: string): string => `GET ${text} HTTP/1.1\r\nHost: ${place}\r\nConnection: close\r\n\r\n`;
  const refused: Readonly<Record<string, string>> = {
    'a length and a coding': post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${hidden(place)}`),
    'a coding and a length': post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', `0\r\n\r\n${hidden(place)}`),
    'two lengths': length('3\r\nContent-Length: 60'),
    'two lengths in one': length('3, 3'),
    'a length with a sign': length('+3'),
    'a negative length': length('-3'),
    'a hexadecimal length': length('0x3'),
    'a coding of its own': coding(' xchunked'),
    'two codings': coding(' gzip, chunked'),
    'two codings, the last of its own': coding(' chunked, identity'),
    'two lines of coding': coding(' chunked\r\nTransfer-Encoding: chunked'),
    'two lines of coding that differ': coding(' identity\r\nTransfer-Encoding: chunked'),
    'a coding in quotes': coding(' "chunked"'),
    'a coding after a vertical tab': coding(' \u000bchunked'),
    'a coding with a NUL': coding(' chunked\0'),
    'a folded coding': coding('\r\n chunked'),
    'a space before the colon': post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${hidden(place)}`),
    'a chunk without a carriage return': chunk('2\nxx\n'),
    'a line feed in the extension of a chunk': chunk('2;\nxx\r\n4c\r\n'),
    'a negative chunk': chunk('-2\r\nxx\r\n'),
    'a hexadecimal chunk': chunk('0x2\r\nxx\r\n'),
    'a chunk larger than numbers': chunk('10000000000000002\r\nxx\r\n'),
    'a chunk longer than it says': chunk('2\r\nxxyy\r\n'),
    'a length behind the chunks': post('Transfer-Encoding: chunked\r\n', `0\r\nContent-Length: 60\r\n\r\n${hidden(place)}`),
    'a body of GET': get(`Content-Length: ${hidden(place).length}\r\n`, hidden(place)),
    'a body of GET in chunks': get('Transfer-Encoding: chunked\r\n', `${hidden(place).length.toString(16)}\r\n${hidden(place)}\r\n0\r\n\r\n`),
    'another host': host('Host: evil.example\r\n'),
    'two hosts': host(`Host: ${place}\r\nHost: evil.example\r\n`),
    'an empty host': host('Host:\r\n'),
    'a folded host': host(`Host: ${place}\r\n evil.example\r\n`),
    'a person before the host': host(`Host: me@${place}\r\n`),
    'an address of another host': target('https://evil.example/a'),
    'an address of the host': target(`https://${place}/a`),
    'a carriage return in the path': target('/a\rb'),
    'a space in the path': target('/a b'),
    'a NUL in the path': target('/a\0'),
    'a coded line end in the path': target('/a%0d%0aHost:%20evil.example'),
    'a carriage return in a header': get('accept: a\rx-hidden: b\r\n'),
    'a line feed in a header': get('accept: a\nx-hidden: b\r\n'),
    'a folded header': get('accept: a\r\n x-hidden: b\r\n'),
    'a NUL in a header': get('accept: a\0b\r\n'),
    'a header without a colon': get('accept\r\n'),
    'line feeds alone': `GET /a HTTP/1.1\nHost: ${place}\n\n`,
    'HTTP/2 in the other protocol': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'a tunnel in the tunnel': 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n',
    TRACE: `TRACE /a HTTP/1.1\r\nHost: ${place}\r\nConnection: close\r\n\r\n`,
  };
  const cleaned: Readonly<Record<string, string>> = {
    'another path and method in headers': get(
      'x-http-method-override: PUT\r\nx-original-url: /hidden\r\nx-forwarded-host: evil.example\r\nforwarded: host=evil.example\r\n',
    ),
    'an upgrade': get('Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'),
    'a header that says it is for one hop': get('Connection: x-hidden, host\r\nx-hidden: b\r\n'),
  };
  const rows = (texts: Readonly<Record<string, string>>, fate: Fate): Smuggled[] =>
    Object.entries(texts).map(([what, text]) => [`HTTP/1.1: ${what}`, Buffer.from(text, 'latin1'), fate]);
  return [...rows(refused, 'refused'), ...rows(cleaned, 'cleaned')];
}

type Header = readonly [name: string, value: string];

export function overHttp2(place: string): Smuggled[] {
  const head = (changes: Readonly<Record<string, string>> = {}): Header[] =>
    Object.entries({ ':method': 'GET', ':scheme': 'https', ':authority': place, ':path': '/a', ...changes });
  const changed = (changes: Readonly<Record<string, string>>): Buffer => http2Request(head(changes));
  const added = (...headers: readonly Header[]): Buffer => http2Request([...head(), ...headers]);
  const anonymous = head().filter(([name]) => name !== ':authority');
  const post = (body: string, ...headers: readonly Header[]): Buffer => http2Request([...head({ ':method': 'POST', ':path': '/post' }), ...headers], body);
  const refused: Readonly<Record<string, Buffer>> = {
    'another authority': changed({ ':authority': 'evil.example' }),
    'another port': changed({ ':authority': place.split(':')[0] ?? '' }),
    'a person before the authority': changed({ ':authority': `me@${place}` }),
    'a list of authorities': changed({ ':authority': `${place}, evil.example` }),
    'two authorities': added([':authority', 'evil.example']),
    'no authority': http2Request(anonymous),
    'another host beside the authority': added(['host', 'evil.example']),
    'another host for the authority': http2Request([...anonymous, ['host', 'evil.example']]),
    'two hosts': added(['host', place], ['host', place]),
    'two paths': added([':path', '/hidden']),
    'an address of another host': changed({ ':path': 'https://evil.example/a' }),
    'an address of the host': changed({ ':path': `https://${place}/a` }),
    'an empty path': changed({ ':path': '' }),
    'a star': changed({ ':path': '*' }),
    'a request in the path': changed({ ':path': `/a HTTP/1.1\r\nHost: ${place}\r\n\r\nGET /hidden` }),
    'a line feed in the path': changed({ ':path': '/a\nx-hidden: b' }),
    'a carriage return in the path': changed({ ':path': '/a\rb' }),
    'a space in the path': changed({ ':path': '/a b' }),
    'a NUL in the path': changed({ ':path': '/a\0' }),
    'bytes above ASCII in the path': changed({ ':path': '/a\u00ff' }),
    'a request in the method': changed({ ':method': `GET /hidden HTTP/1.1\r\nHost: ${place}\r\n\r\nGET` }),
    'a path in the method': changed({ ':method': 'GET /hidden' }),
    'an address in the scheme': changed({ ':scheme': 'https://evil.example/hidden?' }),
    connection: added(['connection', 'close']),
    'keep-alive': added(['keep-alive', 'timeout=5']),
    'proxy-connection': added(['proxy-connection', 'close']),
    upgrade: added(['upgrade', 'h2c']),
    te: added(['te', 'gzip']),
    'transfer-encoding': added(['transfer-encoding', 'chunked']),
    'transfer-encoding of a body': post(`0\r\n\r\n${hidden(place)}`, ['transfer-encoding', 'chunked']),
    'a body longer than its length': post(`abc${hidden(place)}`, ['content-length', '3']),
    'a body of length zero': post(hidden(place), ['content-length', '0']),
    'a body shorter than its length': post(hidden(place), ['content-length', '300']),
    'two lengths': post(hidden(place), ['content-length', '3'], ['content-length', String(hidden(place).length)]),
    'a length with a sign': post(hidden(place), ['content-length', '+3']),
    'a body of GET': http2Request(head(), hidden(place)),
    'a name in capitals': added(['Accept', 'a']),
    'a late pseudo header': http2Request([head()[0] ?? ['', ''], ['accept', 'a'], ...head().slice(1)]),
    'an unknown pseudo header': added([':hidden', 'a']),
    'another path behind the body': http2Request(head({ ':method': 'POST', ':path': '/post' }), 'abc', [[':path', '/hidden']]),
    'a tunnel in the tunnel': http2Request([
      [':method', 'CONNECT'],
      [':authority', 'evil.example:443'],
    ]),
    'a tunnel of WebSockets': http2Request([...head({ ':method': 'CONNECT' }), [':protocol', 'websocket']]),
    TRACE: changed({ ':method': 'TRACE' }),
  };
  const cleaned: Readonly<Record<string, Buffer>> = {
    'a header in a header': added(['accept', 'a\r\nx-hidden: b']),
    'a line feed in a header': added(['accept', 'a\nx-hidden: b']),
    'a carriage return in a header': added(['accept', 'a\rx-hidden: b']),
    'a NUL in a header': added(['accept', 'a\0b']),
    'a header in the name of one': added(['accept: a\r\nx-hidden', 'b']),
    'a colon in a name': added(['accept:', 'a']),
    'another path and method in headers': added(['x-http-method-override', 'PUT'], ['x-original-url', '/hidden'], ['x-forwarded-host', 'evil.example']),
  };
  const rows = (requests: Readonly<Record<string, Buffer>>, fate: Fate): Smuggled[] =>
    Object.entries(requests).map(([what, bytes]) => [`HTTP/2: ${what}`, bytes, fate]);
  return [...rows(refused, 'refused'), ...rows(cleaned, 'cleaned')];
}
