import { describe, expect, it } from 'vitest';
import { readWebhookAddress } from '../../../src/registration/webhook-address.ts';

const github = { defaultPath: '/api/github/webhooks', isPublicGitHub: true };
const own = { ...github, isPublicGitHub: false };

describe('the webhook address', () => {
  it.each([
    ['https://mayfly.example.com', 'https://mayfly.example.com/api/github/webhooks'],
    ['https://mayfly.example.com/', 'https://mayfly.example.com/api/github/webhooks'],
    ['https://Mayfly.Example.com:8443/hooks/in', 'https://mayfly.example.com:8443/hooks/in'],
    ['https://mayfly.example.com/a/../hooks', 'https://mayfly.example.com/hooks'],
  ])('%s becomes %s', (given, url) => {
    expect(readWebhookAddress(given, github)).toEqual({ url, path: new URL(url).pathname });
  });

  it.each(['http://127.0.0.1:3000', 'http://localhost:3000', 'http://[::1]:3000', 'https://127.0.0.1'])('%s is for a GitHub on this machine alone', (given) => {
    expect(readWebhookAddress(given, own).path).toBe('/api/github/webhooks');
    expect(() => readWebhookAddress(given, github)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it.each([
    ['mayfly.example.com', 'no address'],
    ['', 'no address'],
    ['http://mayfly.example.com', 'https://'],
    ['ftp://mayfly.example.com', 'https://'],
    ['http://127.0.0.1.example.com', 'https://'],
    ['https://user:secret@mayfly.example.com', 'password'],
    ['https://mayfly.example.com/?a=b', '?'],
    ['https://mayfly.example.com/#a', '#'],
    ['https://mayfly.example.com/a b', 'letters'],
    ['https://mayfly.example.com/a%2Fb', 'letters'],
  ])('%j is refused: %s', (given, reason) => {
    expect(() => readWebhookAddress(given, own)).toThrow(
      expect.objectContaining({ code: 'usage', details: { reason: expect.stringContaining(reason) as unknown } }),
    );
  });
});
