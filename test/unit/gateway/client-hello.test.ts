import { describe, expect, it } from 'vitest';
import { maxClientHelloBytes, readServerName } from '../../../src/gateway/client-hello.ts';
import { helloMessage, nameExtension, record } from '../../support/gateway/client-hello.ts';

const other = Buffer.from([0, 23, 0, 0]);
const whole = record(helloMessage([other, nameExtension('example.org'), other]));

describe('readServerName', () => {
  it('finds the name', () => {
    expect(readServerName(whole)).toEqual({ kind: 'name', name: 'example.org' });
  });

  it('asks for more after every shorter beginning', () => {
    for (let length = 0; length < whole.length; length += 1) expect(readServerName(whole.subarray(0, length)), `${length}`).toEqual({ kind: 'more' });
  });

  it('puts a hello together from several records', () => {
    const message = helloMessage([nameExtension('example.org')]);

    expect(readServerName(Buffer.concat([record(message.subarray(0, 3)), record(message.subarray(3, 50)), record(message.subarray(50))]))).toEqual({
      kind: 'name',
      name: 'example.org',
    });
  });

  it('says when there is no name', () => {
    expect(readServerName(record(helloMessage([other])))).toEqual({ kind: 'none' });
    expect(readServerName(record(helloMessage(null)))).toEqual({ kind: 'none' });
  });

  it.each([
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['an SSH banner', Buffer.from('SSH-2.0-x\r\n')],
    ['SSL 2', Buffer.from([0x80, 0x2e, 1, 0, 2])],
    ['another handshake message', record(Buffer.from([2, 0, 0, 0]))],
    ['two names', record(helloMessage([nameExtension('example.org', 'evil.org')]))],
    ['two name extensions', record(helloMessage([nameExtension('example.org'), nameExtension('evil.org')]))],
    ['an empty name', record(helloMessage([nameExtension('')]))],
    ['a record of no bytes', Buffer.from([22, 3, 1, 0, 0])],
    ['a record that is too long', Buffer.from([22, 3, 1, 0xff, 0xff])],
    ['a hello of 16 MiB', record(Buffer.from([1, 0xff, 0xff, 0xff]))],
    ['an extension past the end', record(helloMessage([Buffer.from([0, 0, 0xff, 0xff])]))],
    ['one byte in each record', Buffer.concat([...helloMessage([nameExtension('example.org')])].map((byte) => record(Buffer.from([byte]))))],
  ])('does not take %s', (_what, bytes) => {
    expect(readServerName(bytes)).toEqual({ kind: 'not_tls' });
  });

  it('stops asking for more at its limit', () => {
    const endless = Buffer.concat([
      record(Buffer.concat([Buffer.from([1, 0, 0x7f, 0xff]), Buffer.alloc(16_000)])),
      record(Buffer.alloc(16_000)),
      Buffer.from([22, 3, 1, 0x3f, 0xff]),
      Buffer.alloc(1000),
    ]);

    expect(endless.length).toBeGreaterThan(maxClientHelloBytes);
    expect(readServerName(endless)).not.toEqual({ kind: 'more' });
  });

  it('never throws, whatever byte is changed', () => {
    for (let at = 0; at < whole.length; at += 1)
      for (const value of [0, 1, 0x7f, 0xff]) {
        const bent = Buffer.from(whole);
        bent[at] = value;
        expect(() => readServerName(bent)).not.toThrow();
      }
  });
});
